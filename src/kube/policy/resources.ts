import type { Resource } from '../resources.ts';
import { decodeClusterNetworkPolicy } from './decode-cluster-network-policy.ts';
import { decodeNetworkPolicy } from './decode-network-policy.ts';
import { decodeNamespace, decodePod, decodeWatchedPod } from './decode-pods.ts';
import type { ClusterNetworkPolicy, Namespace, NetworkPolicy, Pod } from './types.ts';
import { unreadableClusterNetworkPolicy, unreadableNetworkPolicy } from './unreadable.ts';

const everything = () => true;

/** What is missing in a list opens what a policy had closed: nothing of it stands for another. */
const CLOSED_BY_LOSS = { weigh: () => 1, isEachGuarded: true } as const;

export const pods: Resource<Pod> = {
  group: '',
  version: 'v1',
  plural: 'pods',
  kind: 'Pod',
  isNamespaced: true,
  isSelected: everything,
  decode: decodePod,
  weigh: () => 1,
};

/** The pods of one node, as its agent follows them. */
export function podsOfNode(name: string): Resource<Pod> {
  return {
    ...pods,
    ...CLOSED_BY_LOSS,
    decode: decodeWatchedPod,
    fieldSelector: `spec.nodeName=${name}`,
    isSelected: ({ nodeName }) => nodeName === name,
  };
}

/** The pods of all nodes but one that have, or will have, addresses of their own. */
export function podsOfOtherNodes(name: string): Resource<Pod> {
  return {
    ...pods,
    decode: decodeWatchedPod,
    fieldSelector: `spec.nodeName!=${name},spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed`,
    isSelected: ({ nodeName, usesHostNetwork, hasEnded }) =>
      nodeName !== undefined && nodeName !== name && !usesHostNetwork && !hasEnded,
  };
}

export const namespaces: Resource<Namespace> = {
  group: '',
  version: 'v1',
  plural: 'namespaces',
  kind: 'Namespace',
  isNamespaced: false,
  isSelected: everything,
  decode: decodeNamespace,
  ...CLOSED_BY_LOSS,
  isHeldFromLastRun: true,
};

export const networkPolicies: Resource<NetworkPolicy> = {
  group: 'networking.k8s.io',
  version: 'v1',
  plural: 'networkpolicies',
  kind: 'NetworkPolicy',
  isNamespaced: true,
  isSelected: everything,
  decode: decodeNetworkPolicy,
  whenUnreadable: unreadableNetworkPolicy,
  ...CLOSED_BY_LOSS,
  isHeldFromLastRun: true,
};

/** As of network-policy-api v0.2.0; clusters need not serve it. */
export const clusterNetworkPolicies: Resource<ClusterNetworkPolicy> = {
  group: 'policy.networking.k8s.io',
  version: 'v1alpha2',
  plural: 'clusternetworkpolicies',
  kind: 'ClusterNetworkPolicy',
  isNamespaced: false,
  isSelected: everything,
  decode: decodeClusterNetworkPolicy,
  whenUnreadable: unreadableClusterNetworkPolicy,
  ...CLOSED_BY_LOSS,
  isHeldFromLastRun: true,
  isOptional: true,
  isRequiredWhereServed: true,
};
