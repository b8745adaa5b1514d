import type { Link, Route } from '../kernel/types.ts';
import { type Cidr, cidrFamily } from '../net/cidr.ts';
import { FABRIC_METRIC, FABRIC_PROTOCOL } from './names.ts';
import type { PlannedPeer } from './plan.ts';

/** A metric of 0 is the lowest one for IPv4; for IPv6 the kernel makes 1024 of it. */
const NO_METRIC = { 4: 0, 6: 1024 } as const;

/**
 * Routes of others that packets for a peer's pods take instead of ours, each with its cure; another
 * fabric that is still there has them.
 */
export function rivalProblems(
  peers: readonly PlannedPeer[],
  { routes, links }: { readonly routes: readonly Route[]; readonly links: readonly Link[] },
): readonly string[] {
  const owners = new Map<Cidr, string>(
    peers.flatMap(({ name, path, podCIDRs }) =>
      path === 'none' ? [] : podCIDRs.map((cidr) => [cidr, name] as const),
    ),
  );
  return routes.flatMap((route) => {
    const name = owners.get(route.destination);
    if (name === undefined || route.protocol === FABRIC_PROTOCOL || !isPreferred(route)) return [];
    const link = links.find(({ index }) => index === route.link)?.name ?? `${route.link}`;
    const text = `${route.destination} by link ${link}, protocol ${route.protocol}`;
    return [
      `node ${name}: the route ${text}, of somebody else is taken before ours: remove what made it`,
    ];
  });
}

function isPreferred({ destination, priority }: Route): boolean {
  return (priority ?? NO_METRIC[cidrFamily(destination)]) < FABRIC_METRIC;
}
