import { type Neighbourhood, peerAddresses } from '../../fabric/desired.ts';
import type { FabricTableFacts } from '../../fabric/table/facts.ts';
import { masqueradedFamilies } from '../../fabric/table/networks.ts';
import { podLinks } from '../../fabric/table/pod-links.ts';
import type { UnderlayFacts } from '../../fabric/underlay.ts';
import { type Cidr, hostCidr } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import { withLastResult } from '../../util/last-result.ts';
import type { FabricSettings } from '../config/fabric-settings.ts';

type TableFactsOf = (
  hood: Pick<Neighbourhood, 'own' | 'podCIDRs' | 'peers'>,
  node: UnderlayFacts & { readonly former: readonly IP[]; readonly probePort?: number | undefined },
  settings: FabricSettings,
  isPartial: boolean,
) => FabricTableFacts;

/**
 * What of nodes and settings concerns the table. `former` are addresses of pods from before a change of
 * podCIDRs: other nodes do not reach them any more, the outside shall. `probePort` is that of the probes
 * while they listen. Pure; asked again about the same peers it gives the same lists of them.
 */
export function tableFactsReader(): TableFactsOf {
  const podCIDRsOf = withLastResult((own: readonly Cidr[], former: readonly IP[]) => [
    ...own,
    ...former.map(hostCidr),
  ]);
  const addressesOf = withLastResult(peerAddresses);
  const directOf = withLastResult(directNetworks);
  return ({ own: ownNode, podCIDRs: own, peers }, node, settings, isPartial) => {
    const podCIDRs = podCIDRsOf(own, node.former);
    const { backend, tunnelPort: port, clusterCIDRs, masquerade, masqueradeExceptions } = settings;
    const direct = directOf(clusterCIDRs, podCIDRs, peers, masqueradeExceptions);
    const families = masqueradedFamilies(podCIDRs, settings.masqueradeIPv6);
    return {
      isPartial,
      tunnel:
        backend === 'none'
          ? undefined
          : { port, peers: addressesOf(peers), own: Object.values(ownNode?.addresses ?? {}) },
      probePort: node.probePort,
      podCIDRs,
      podLinks: podLinks(podCIDRs, node),
      masquerade: masquerade ? { direct, families } : undefined,
    };
  };
}

function directNetworks(
  clusterCIDRs: readonly Cidr[],
  podCIDRs: readonly Cidr[],
  peers: Neighbourhood['peers'],
  exceptions: readonly Cidr[],
): readonly Cidr[] {
  return [...clusterCIDRs, ...podCIDRs, ...peers.flatMap((peer) => peer.podCIDRs), ...exceptions];
}
