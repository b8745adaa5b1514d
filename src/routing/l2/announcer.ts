import { createHash } from 'node:crypto';
import type { IP } from '../../net/ip.ts';
import type { ServiceAddress } from '../facts.ts';

/**
 * Which node answers for an address: of those that may the one with the highest hash of both
 * (rendezvous hashing), so that addresses spread and only those of a lost node move.
 */
export function announcerOf(ip: IP, candidates: Iterable<string>): string | undefined {
  let best: { readonly node: string; readonly rank: string } | undefined;
  for (const node of candidates) {
    const rank = createHash('sha256').update(`${ip} ${node}`).digest('hex');
    if (best === undefined || rank > best.rank) best = { node, rank };
  }
  return best?.node;
}

/** Addresses that this node answers for, in order. `alive` are the nodes that can, this one included. */
export function announcedBy(
  node: string,
  services: readonly ServiceAddress[],
  alive: ReadonlySet<string>,
): readonly IP[] {
  if (!alive.has(node)) return [];
  return services
    .filter(({ kind, isServedSomewhere }) => kind === 'loadBalancerIPs' && isServedSomewhere)
    .filter(({ ip, nodes }) => {
      const candidates = nodes === undefined ? alive : nodes.filter((name) => alive.has(name));
      return announcerOf(ip, candidates) === node;
    })
    .map(({ ip }) => ip);
}
