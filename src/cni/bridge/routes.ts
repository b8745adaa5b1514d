/** The routes of a pod: what IPAM or the configuration says, and the default gateway's. */
import { type Cidr, cidrFamily, ipWithPrefix, networkOf } from '../../net/cidr.ts';
import { type IP, type IPFamily, parseIP } from '../../net/ip.ts';
import { ConfigError } from '../../util/errors.ts';
import type { ConfiguredRoute, LeasedAddress } from '../address-config.ts';
import { gatewayOf } from '../protocol/result.ts';

/** A route as it is given to the kernel, on the pod's end. */
export interface PodRoute {
  readonly destination: Cidr;
  readonly gateway?: IP;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
  readonly isOnlink?: boolean;
}

/**
 * Adds one default route per family unless there is one with a gateway. One without a gateway would
 * resolve to the same next hop and fail as a duplicate: it is replaced.
 */
export function withDefaultRoutes(
  configured: readonly ConfiguredRoute[],
  ips: readonly LeasedAddress[],
): readonly ConfiguredRoute[] {
  let routes = configured;
  for (const family of familiesOf(ips)) {
    const gw = gatewayOf(ips, family);
    const dst = ipWithPrefix(ANY_ADDRESS[family], 0);
    if (gw === undefined || routes.some((route) => route.dst === dst && route.gw !== undefined)) {
      continue;
    }
    const explicit: ConfiguredRoute = { dst, gw };
    routes = [...routes.filter((route) => !isSameRoute({ gw, ...route }, explicit)), explicit];
  }
  return routes;
}

/**
 * A route without a gateway goes to the first of its family, unless its scope says that there is
 * none. Throws ConfigError when the pod has no address of the family.
 */
export function buildPodRoute(route: ConfiguredRoute, ips: readonly LeasedAddress[]): PodRoute {
  const { dst, gw, onlink, ...attributes } = route;
  const family = cidrFamily(dst);
  const gateway = gw ?? (route.scope === SCOPE_LINK ? undefined : gatewayOf(ips, family));
  if (!ips.some(({ address }) => cidrFamily(address) === family)) {
    throw new ConfigError('ipam.routes', `ipam.routes: no address of the family of route ${dst}`);
  }
  return {
    destination: networkOf(dst),
    ...(gateway === undefined ? {} : { gateway }),
    ...(onlink === true ? { isOnlink: true } : {}),
    ...attributes,
  };
}

/** IPv4 first. */
export function familiesOf(ips: readonly LeasedAddress[]): readonly IPFamily[] {
  return ([4, 6] as const).filter((family) => {
    return ips.some(({ address }) => cidrFamily(address) === family);
  });
}

function isSameRoute(a: ConfiguredRoute, b: ConfiguredRoute): boolean {
  return (
    a.dst === b.dst &&
    a.gw === b.gw &&
    (a.table ?? 0) === (b.table ?? 0) &&
    (a.priority ?? 0) === (b.priority ?? 0)
  );
}

const ANY_ADDRESS: Readonly<Record<IPFamily, IP>> = { 4: parseIP('0.0.0.0'), 6: parseIP('::') };

/** rtnetlink.h RT_SCOPE_LINK: reachable without a gateway. */
const SCOPE_LINK = 253;
