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
  // Few routes are others', and peers may be thousands.
  const rivals = routes.filter((route) => route.protocol !== FABRIC_PROTOCOL && isPreferred(route));
  const contested = new Set(rivals.map(({ destination }) => destination));
  const owners = new Map<Cidr, string>();
  for (const { name, path, podCIDRs } of peers) {
    if (path === 'none') continue;
    for (const cidr of podCIDRs) if (contested.has(cidr)) owners.set(cidr, name);
  }
  return rivals.flatMap((route) => {
    const name = owners.get(route.destination);
    if (name === undefined) return [];
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
