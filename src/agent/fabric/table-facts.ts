import { type Neighbourhood, peerAddresses } from '../../fabric/desired.ts';
import type { FabricTableFacts } from '../../fabric/table/facts.ts';
import { masqueradedFamilies } from '../../fabric/table/networks.ts';
import { podLinks } from '../../fabric/table/pod-links.ts';
import type { UnderlayFacts } from '../../fabric/underlay.ts';
import { hostCidr } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import type { FabricSettings } from '../config/fabric-settings.ts';

/**
 * What of nodes and settings concerns the table. `former` are addresses of pods from before a change of
 * podCIDRs: other nodes do not reach them any more, the outside shall. `probePort` is that of the probes
 * while they listen. Pure.
 */
export function tableFacts(
  { own: ownNode, podCIDRs: own, peers }: Pick<Neighbourhood, 'own' | 'podCIDRs' | 'peers'>,
  node: UnderlayFacts & { readonly former: readonly IP[]; readonly probePort?: number | undefined },
  settings: FabricSettings,
  isPartial: boolean,
): FabricTableFacts {
  const podCIDRs = [...own, ...node.former.map(hostCidr)];
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
    tunnel:
      backend === 'none'
        ? undefined
        : { port, peers: peerAddresses(peers), own: Object.values(ownNode?.addresses ?? {}) },
    probePort: node.probePort,
    podCIDRs,
    podLinks: podLinks(podCIDRs, node),
    masquerade: masquerade ? { direct, families } : undefined,
  };
}
