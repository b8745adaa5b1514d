import type { Neighbourhood } from '../../fabric/desired.ts';
import { TUNNEL_NAME } from '../../fabric/names.ts';
import type { Backend, Peer } from '../../fabric/plan.ts';
import type { UnderlayFacts } from '../../fabric/underlay.ts';
import type { PodTraffic } from './foreign-masquerade.ts';

/** As many nodes stand for all: rules are about networks and links. */
const MOST_PEERS = 16;

/**
 * What pods of this node send to pods of others, and by which links it leaves: in a tunnel, rules about
 * the link below do not see it. Pure.
 */
export function podTraffic(
  { podCIDRs, peers, underlay }: Pick<Neighbourhood, 'podCIDRs' | 'peers' | 'underlay'>,
  { links }: Pick<UnderlayFacts, 'links'>,
  backend: Backend,
): PodTraffic {
  const some = peers.filter((peer) => peer.podCIDRs.length > 0).slice(0, MOST_PEERS);
  const linksTo = ({ node }: Peer): readonly string[] => {
    const hops = Object.values(node.addresses).flatMap((address) => underlay.hopTo(address) ?? []);
    const isDirect = backend !== 'vxlan' && hops.some((hop) => hop.isDirect);
    if (!isDirect && (backend === 'auto' || backend === 'vxlan')) return [TUNNEL_NAME];
    return links.filter(({ index }) => hops.some(({ link }) => link === index)).map(nameOf);
  };
  return {
    podCIDRs,
    clusterCIDRs: some.flatMap((peer) => peer.podCIDRs),
    underlays: [...new Set(some.flatMap(linksTo))],
  };
}

const nameOf = ({ name }: { readonly name: string }) => name;
