/** What policies are about and are made of, cut down to the fields the agent reads. */
import type { KubernetesObject, Protocol } from '../types.ts';

export type Labels = Readonly<Record<string, string>>;

export interface LabelRequirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}

/** Everything in it has to hold; an empty one selects everything. */
export interface LabelSelector {
  readonly matchLabels: Labels;
  readonly matchExpressions: readonly LabelRequirement[];
}

/** A container's port that policies can name. */
export interface NamedPort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

/** core/v1 Pod. */
export interface Pod extends KubernetesObject {
  readonly nodeName: string | undefined;
  /** It has the addresses of its node. */
  readonly usesHostNetwork: boolean;
  /** `Succeeded` or `Failed`: its addresses are no longer its own. */
  readonly hasEnded: boolean;
  /** As written, the primary one first. */
  readonly ips: readonly string[];
  /** Of containers and sidecars; those without a name included, with an empty one. */
  readonly ports: readonly NamedPort[];
}

/** core/v1 Namespace. */
export interface Namespace extends KubernetesObject {}

export interface IPBlock {
  readonly cidr: string;
  readonly except: readonly string[];
}

export interface NetworkPolicyPeer {
  readonly podSelector?: LabelSelector | undefined;
  readonly namespaceSelector?: LabelSelector | undefined;
  readonly ipBlock?: IPBlock | undefined;
}

export interface NetworkPolicyPort {
  /** Undefined for a protocol this version does not know: it matches nothing. */
  readonly protocol: Protocol | undefined;
  /** A number or a container port's name; absent means every port of the protocol. */
  readonly port?: number | string | undefined;
  readonly endPort?: number | undefined;
}

export interface NetworkPolicyRule {
  /** Empty means everybody. */
  readonly peers: readonly NetworkPolicyPeer[];
  /** Empty means every port of every protocol. */
  readonly ports: readonly NetworkPolicyPort[];
}

export type Direction = 'ingress' | 'egress';

/** networking.k8s.io/v1 NetworkPolicy, with `policyTypes` as they are defaulted by the API. */
export interface NetworkPolicy extends KubernetesObject {
  readonly podSelector: LabelSelector;
  /** The rules of each direction that the policy isolates. */
  readonly rules: Readonly<Partial<Record<Direction, readonly NetworkPolicyRule[]>>>;
  readonly unreadable?: Unreadable;
}

/** Of a policy that cannot be read as it is: what stands in its place. */
export interface Unreadable {
  /** In words. */
  readonly problem: string;
  /** Else what it said when it could be read. */
  readonly isClosed: boolean;
}

export interface NamespacedPods {
  readonly namespaceSelector: LabelSelector;
  readonly podSelector: LabelSelector;
}

/** `unknown` stands for what this version cannot read: rules with it fail closed. */
export type ClusterPeer =
  | { readonly kind: 'namespaces'; readonly selector: LabelSelector }
  | { readonly kind: 'pods'; readonly pods: NamespacedPods }
  | { readonly kind: 'nodes'; readonly selector: LabelSelector }
  | { readonly kind: 'networks'; readonly cidrs: readonly string[] }
  | { readonly kind: 'unknown'; readonly what: string };

/** Ports are inclusive ranges; without one every port of the protocol. */
export type ClusterProtocol =
  | {
      readonly kind: 'ports';
      readonly protocol: Protocol;
      readonly range?: readonly [start: number, end: number] | undefined;
    }
  | { readonly kind: 'named'; readonly name: string }
  | { readonly kind: 'unknown'; readonly what: string };

export type ClusterAction = 'Accept' | 'Deny' | 'Pass';

export interface ClusterRule {
  readonly name: string | undefined;
  readonly action: ClusterAction;
  readonly peers: readonly ClusterPeer[];
  /** Empty means everything, protocols without ports included. */
  readonly protocols: readonly ClusterProtocol[];
}

/** policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy. */
export interface ClusterNetworkPolicy extends KubernetesObject {
  readonly tier: 'Admin' | 'Baseline';
  /** 0 to 1000; the lowest goes first. */
  readonly priority: number;
  readonly subject: Extract<ClusterPeer, { kind: 'namespaces' | 'pods' | 'unknown' }>;
  readonly rules: Readonly<Record<Direction, readonly ClusterRule[]>>;
  readonly unreadable?: Unreadable;
}
