import { nodeDecoder } from '../decode.ts';
import { nodes, type Resource } from '../resources.ts';
import type { Node } from '../types.ts';
import { decodeClusterNetworkPolicy } from './decode-cluster-network-policy.ts';
import { decodeNetworkPolicy } from './decode-network-policy.ts';
import { decodeNamespace, decodePod } from './decode-pods.ts';
import type { ClusterNetworkPolicy, Namespace, NetworkPolicy, Pod } from './types.ts';

const everything = () => true;

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

export const namespaces: Resource<Namespace> = {
  group: '',
  version: 'v1',
  plural: 'namespaces',
  kind: 'Namespace',
  isNamespaced: false,
  isSelected: everything,
  decode: decodeNamespace,
  weigh: () => 1,
};

/** Nodes with what policies select them by. */
export const labelledNodes: Resource<Node> = {
  ...nodes(),
  decode: nodeDecoder({
    isLabelKept: everything,
    isAnnotationKept: () => false,
    isTaintKept: () => false,
  }),
};

export const networkPolicies: Resource<NetworkPolicy> = {
  group: 'networking.k8s.io',
  version: 'v1',
  plural: 'networkpolicies',
  kind: 'NetworkPolicy',
  isNamespaced: true,
  isSelected: everything,
  decode: decodeNetworkPolicy,
  weigh: () => 1,
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
  weigh: () => 1,
  isOptional: true,
};
