import {
  cidrFamily,
  containsIP,
  type IPWithPrefix,
  networkOf,
  parseIPWithPrefix,
} from '../../net/cidr.ts';
import { AddressError, type IP, parseIP } from '../../net/ip.ts';
import { ConfigError } from '../../util/errors.ts';
import type { LeasedAddress } from '../address-config.ts';
import type { Lease } from '../node.ts';
import type { IpamPlugin } from '../plugin.ts';
import { parseCniArgs } from '../protocol/args.ts';
import { isJsonObject, memberOf } from '../protocol/json.ts';
import { parseDns, parseRoutes } from '../protocol/parse-result.ts';
import { requirePreviousResult } from '../protocol/previous-result.ts';
import type { Request } from '../protocol/request.ts';
import { isAtLeast } from '../protocol/versions.ts';

type Members = Readonly<Record<string, unknown>>;

/**
 * Addresses that the configuration names. Nothing is reserved, so that two pods may be given the same
 * one, as with the reference's plugins/ipam/static.
 */
export const staticIpam: IpamPlugin = {
  name: 'static',
  add: ({ request }) => ({ interfaces: [], routes: [], ...staticLease(request) }),
  del: () => undefined,
  check: ({ request }) => checkStatic(request),
  status: ({ request }) => void staticLease(request),
  checkConfig: (request) => void staticLease(request),
  gc: () => undefined,
};

/**
 * What a configuration of type static gives: `ipam.addresses` and those of CNI_ARGS, unless args.cni
 * or, before that, runtimeConfig name others. Throws ConfigError.
 */
export function staticLease(request: Request): Lease {
  const ipam = memberOf(request.config, 'ipam');
  if (!isJsonObject(ipam)) throw new ConfigError('ipam', "IPAM config missing 'ipam' key");
  const ips = configuredAddresses(request, ipam);
  if (!isAtLeast(request.cniVersion, '0.3.0')) {
    const families = ips.map(({ address }) => cidrFamily(address));
    if (new Set(families).size < families.length) {
      throw new ConfigError(
        'ipam.addresses',
        `CNI version ${request.cniVersion} does not support more than 1 address per family`,
      );
    }
  }
  return { ips, routes: parseRoutes(ipam, 'ipam.routes'), dns: parseDns(ipam, 'ipam.dns') };
}

/** Throws when prevResult lacks an address that the configuration names. */
export function checkStatic(request: Request): void {
  const previous = requirePreviousResult(request).ips.map(({ address }) => address);
  const missing = staticLease(request).ips.find(({ address }) => !previous.includes(address));
  if (missing === undefined) return;
  throw new Error(`static: Failed to match addr ${missing.address} on interface ${request.ifName}`);
}

function configuredAddresses(request: Request, ipam: Members): readonly LeasedAddress[] {
  const own = listOf(memberOf(ipam, 'addresses'), 'ipam.addresses');
  const { ip = '', gateway = '' } = parseCniArgs(request.args);
  const ofArgs = itemsOf(ip).map((text) => ({ address: withPrefix(text, 'CNI_ARGS IP') }));
  const gateways = itemsOf(gateway).map((text) => {
    return parsed(text, 'CNI_ARGS GATEWAY', `invalid gateway address: ${text}`, parseIP);
  });
  const fromArgs = listOf(path(request.config, 'args', 'cni', 'ips'), 'args.cni.ips');
  const fromRuntime = listOf(path(request.config, 'runtimeConfig', 'ips'), 'runtimeConfig.ips');
  if (fromRuntime.length > 0) return fromRuntime.map(plainAddress('runtimeConfig.ips'));
  if (fromArgs.length > 0) return fromArgs.map(plainAddress('args.cni.ips'));
  // Only now: what others replace is not judged.
  return [...own.map(parseAddress), ...ofArgs].map((entry) => withGateway(entry, gateways));
}

function withGateway(entry: LeasedAddress, gateways: readonly IP[]): LeasedAddress {
  const gateway = gateways.findLast((one) => containsIP(networkOf(entry.address), one));
  return gateway === undefined ? entry : { ...entry, gateway };
}

function parseAddress(entry: unknown, index: number): LeasedAddress {
  const key = `ipam.addresses[${index}]`;
  if (!isJsonObject(entry)) throw new ConfigError(key, 'must be an object');
  const address = withPrefix(memberOf(entry, 'address'), `${key}.address`);
  const gateway = memberOf(entry, 'gateway') ?? '';
  if (gateway === '') return { address };
  const problem = `invalid gateway address: ${String(gateway)}`;
  return { address, gateway: parsed(gateway, `${key}.gateway`, problem, parseIP) };
}

function plainAddress(key: string) {
  return (text: unknown, index: number): LeasedAddress => {
    return { address: withPrefix(text, `${key}[${index}]`) };
  };
}

function withPrefix(text: unknown, key: string): IPWithPrefix {
  const problem = `the 'address' field is expected to be in CIDR notation, got: '${String(text)}'`;
  return parsed(text, key, problem, parseIPWithPrefix);
}

function parsed<T>(text: unknown, key: string, problem: string, parse: (text: string) => T): T {
  try {
    if (typeof text !== 'string') throw new AddressError('not a string');
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof AddressError)) throw cause;
    throw new ConfigError(key, problem, { cause });
  }
}

function itemsOf(text: string): readonly string[] {
  return text === '' ? [] : text.split(',').map((item) => item.trim());
}

function path(config: Members, ...names: readonly string[]): unknown {
  return names.reduce<unknown>((value, name) => {
    return isJsonObject(value) ? memberOf(value, name) : undefined;
  }, config);
}

function listOf(value: unknown, key: string): readonly unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new ConfigError(key, 'must be an array');
  return value;
}
