import type { CheckedNode } from '../checked-node.ts';
import type { NetworkFacts } from '../networks.ts';

export function readNetworkFacts({ pods, agent }: CheckedNode): NetworkFacts {
  return {
    clusterCIDRs: agent?.proxy?.clusterCIDRs ?? [],
    serviceCIDRs: agent?.proxy?.serviceCIDRs ?? [],
    podCIDRs: agent?.podCIDRs ?? [],
    pods,
    differing: agent?.differing ?? [],
  };
}
