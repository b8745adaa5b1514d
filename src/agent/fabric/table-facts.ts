import { type Neighbourhood, peerAddresses } from '../../fabric/desired.ts';
import type { FabricTableFacts } from '../../fabric/table/facts.ts';
import { masqueradedFamilies } from '../../fabric/table/networks.ts';
import { podLinks } from '../../fabric/table/pod-links.ts';
import type { UnderlayFacts } from '../../fabric/underlay.ts';
import type { FabricSettings } from '../config/fabric-settings.ts';

/** What of nodes and settings concerns the table. Pure. */
export function tableFacts(
  { podCIDRs, peers }: Pick<Neighbourhood, 'podCIDRs' | 'peers'>,
  node: UnderlayFacts,
  settings: FabricSettings,
  isPartial: boolean,
): FabricTableFacts {
  const { backend, tunnelPort: port, clusterCIDRs, masquerade } = settings;
  const direct = [
    ...clusterCIDRs,
    ...podCIDRs,
    ...peers.flatMap((peer) => peer.podCIDRs),
    ...settings.masqueradeExceptions,
  ];
  const families = masqueradedFamilies(podCIDRs, settings.masqueradeIPv6);
  return {
    isPartial,
    tunnel: backend === 'none' ? undefined : { port, peers: peerAddresses(peers) },
    podCIDRs,
    podLinks: podLinks(podCIDRs, node),
    masquerade: masquerade ? { direct, families } : undefined,
  };
}
