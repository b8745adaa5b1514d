/** What a configuration says of addresses, whichever plugin is asked for them. */
import { type RangeConfig, type RangesConfig, requestedAddresses } from '../ipam/range-config.ts';
import { type Cidr, type IPWithPrefix, parseIPWithPrefix } from '../net/cidr.ts';
import { type IP, parseIP } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import { ConfigError } from '../util/errors.ts';
import type { CniArgs } from './protocol/args.ts';
import type { ResultRoute } from './protocol/result.ts';

/** A reserved address; the gateway is the router of its network. */
export interface LeasedAddress {
  readonly address: IPWithPrefix;
  readonly gateway?: IP;
}

/** The `ipam` object of type host-local, plus what the runtime adds to it. */
export interface HostLocalConfig extends RangesConfig {
  /** runtimeConfig.ipRanges: come before `ranges`. */
  readonly ipRanges?: readonly (readonly RangeConfig[])[];
  readonly dataDir?: string;
  readonly resolvConf?: string;
}

/** A route as configured, for the pod. */
export interface ConfiguredRoute extends ResultRoute {
  /** The gateway is on the link although no address of the pod covers it. */
  readonly onlink?: boolean;
}

interface RawRoute extends Omit<ConfiguredRoute, 'dst' | 'gw'> {
  readonly dst: string;
  readonly gw?: string;
}

/** The keys as written: each has its type, no value has been looked at. */
export interface RawAddresses {
  readonly ipam?: HostLocalConfig & { type?: string; routes?: readonly RawRoute[] };
  readonly args?: { readonly cni?: { readonly ips?: readonly string[] } };
  readonly runtimeConfig?: {
    readonly ips?: readonly string[];
    readonly ipRanges?: readonly (readonly RangeConfig[])[];
  };
}

export interface HostLocalAddresses {
  readonly ipam: HostLocalConfig;
  readonly routes: readonly ConfiguredRoute[];
  /** Addresses asked for through CNI_ARGS, args.cni and runtimeConfig, in that order. */
  readonly requestedIPs: readonly IP[];
}

/** For host-local, whatever `ipam.type` says. Throws ConfigError. */
export function parseHostLocal(
  { ipam = {}, args, runtimeConfig }: RawAddresses,
  { ip }: CniArgs,
): HostLocalAddresses {
  const ipRanges = runtimeConfig?.ipRanges;
  return {
    ipam: ipRanges === undefined ? ipam : { ...ipam, ipRanges },
    routes: parseRoutes(ipam.routes),
    requestedIPs: requestedAddresses({
      cniArgsIP: ip,
      argsIps: args?.cni?.ips,
      runtimeIps: runtimeConfig?.ips,
    }),
  };
}

/** `ipam.routes`, in any type of IPAM. Throws ConfigError. */
export function parseRoutes(routes: readonly RawRoute[] = []): readonly ConfiguredRoute[] {
  return routes.map(({ dst, gw, ...attributes }, index) => {
    const key = `ipam.routes[${index}]`;
    return {
      dst: withKey(`${key}.dst`, dst, parseIPWithPrefix),
      ...(gw === undefined || gw === '' ? {} : { gw: withKey(`${key}.gw`, gw, parseIP) }),
      ...attributes,
    };
  });
}

/** Parses a value; what is wrong with it is told with its key. Throws ConfigError. */
export function withKey<T extends IP | Mac | Cidr | IPWithPrefix>(
  key: string,
  text: string,
  parse: (text: string) => T,
): T {
  try {
    return parse(text);
  } catch (cause) {
    throw new ConfigError(key, `invalid value of ${key}: "${text}"`, { cause });
  }
}
