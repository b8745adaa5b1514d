import type { ClusterNetworkPolicy, Direction, NetworkPolicy } from '../../kube/policy/types.ts';

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

/**
 * Whether a policy is about pods of other nodes: as peers, or because their containers have the ports that
 * an egress rule names.
 */
export function needsAllPods(policy: NetworkPolicy | ClusterNetworkPolicy): boolean {
  return 'tier' in policy ? clusterNeedsPods(policy) : networkNeedsPods(policy);
}

function networkNeedsPods({ rules }: NetworkPolicy): boolean {
  return DIRECTIONS.some((direction) =>
    (rules[direction] ?? []).some(
      ({ peers, ports }) =>
        peers.some(({ ipBlock }) => ipBlock === undefined) ||
        (direction === 'egress' && ports.some(({ port }) => typeof port === 'string')),
    ),
  );
}

function clusterNeedsPods({ rules }: ClusterNetworkPolicy): boolean {
  return DIRECTIONS.some((direction) =>
    rules[direction].some(
      ({ peers, protocols }) =>
        peers.some(({ kind }) => kind === 'namespaces' || kind === 'pods') ||
        (direction === 'egress' && protocols.some(({ kind }) => kind === 'named')),
    ),
  );
}
