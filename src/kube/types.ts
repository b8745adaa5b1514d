/**
 * Kubernetes objects cut down to the fields the agent reads, with the API's own JSON names.
 * Everything the API server may leave out is optional and never filled with a default here, except
 * where a comment says so.
 */

export interface ObjectMeta {
  readonly name: string;
  /** Empty for cluster-scoped objects. */
  readonly namespace: string;
  readonly uid?: string | undefined;
  /** Opaque: compare for equality only. Absent on objects that come from a manifest file. */
  readonly resourceVersion?: string | undefined;
  /** Only the keys the resource keeps; see resources.ts. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** RFC 3339. Absent on objects that come from a manifest file. */
  readonly creationTimestamp?: string | undefined;
  /** RFC 3339. */
  readonly deletionTimestamp?: string | undefined;
}

/** What every kind has. */
export interface KubernetesObject {
  readonly metadata: ObjectMeta;
}

export type Protocol = 'TCP' | 'UDP' | 'SCTP';
export type TrafficPolicy = 'Cluster' | 'Local';

export interface ServicePort {
  readonly name?: string | undefined;
  /** `TCP` when the object does not say. */
  readonly protocol: Protocol;
  readonly port: number;
  readonly nodePort?: number | undefined;
}

export interface ServiceSpec {
  readonly type?: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName' | undefined;
  /** An address, `None` or empty. */
  readonly clusterIP?: string | undefined;
  readonly clusterIPs?: readonly string[] | undefined;
  readonly ipFamilies?: readonly string[] | undefined;
  readonly ports?: readonly ServicePort[] | undefined;
  readonly externalIPs?: readonly string[] | undefined;
  readonly loadBalancerSourceRanges?: readonly string[] | undefined;
  readonly sessionAffinity?: 'None' | 'ClientIP' | undefined;
  readonly sessionAffinityConfig?:
    | {
        readonly clientIP?: { readonly timeoutSeconds?: number | undefined } | undefined;
      }
    | undefined;
  readonly internalTrafficPolicy?: TrafficPolicy | undefined;
  readonly externalTrafficPolicy?: TrafficPolicy | undefined;
  readonly healthCheckNodePort?: number | undefined;
  /** Who gives it an address; absent: whoever does for Services without. */
  readonly loadBalancerClass?: string | undefined;
  /** The address that it wants (deprecated, and still what most use). */
  readonly loadBalancerIP?: string | undefined;
}

export interface LoadBalancerIngress {
  readonly ip?: string | undefined;
  readonly ipMode?: 'VIP' | 'Proxy' | undefined;
}

export interface ServiceStatus {
  readonly loadBalancer?:
    | { readonly ingress?: readonly LoadBalancerIngress[] | undefined }
    | undefined;
}

/** core/v1 Service. */
export interface Service extends KubernetesObject {
  readonly spec: ServiceSpec;
  readonly status?: ServiceStatus | undefined;
}

export interface EndpointConditions {
  readonly ready?: boolean | undefined;
  readonly serving?: boolean | undefined;
  readonly terminating?: boolean | undefined;
}

export interface EndpointHints {
  readonly forZones?: readonly { readonly name: string }[] | undefined;
  readonly forNodes?: readonly { readonly name: string }[] | undefined;
}

export interface Endpoint {
  readonly addresses: readonly string[];
  readonly conditions?: EndpointConditions | undefined;
  readonly nodeName?: string | undefined;
  readonly zone?: string | undefined;
  readonly hints?: EndpointHints | undefined;
}

export interface EndpointPort {
  readonly name?: string | undefined;
  /** `TCP` when the object does not say. */
  readonly protocol: Protocol;
  /** Absent means every port of the endpoint. */
  readonly port?: number | undefined;
}

/** discovery.k8s.io/v1 EndpointSlice. */
export interface EndpointSlice extends KubernetesObject {
  readonly addressType: 'IPv4' | 'IPv6' | 'FQDN';
  readonly endpoints: readonly Endpoint[];
  readonly ports: readonly EndpointPort[];
}

export interface NodeAddress {
  /** `InternalIP`, `ExternalIP`, `Hostname`, ... */
  readonly type: string;
  readonly address: string;
}

/** Only the keys the resource keeps. */
export interface Taint {
  readonly key: string;
}

/** core/v1 Node. */
export interface Node extends KubernetesObject {
  readonly spec?:
    | {
        /** At most one of each family; `podCIDR` where the object has no more. */
        readonly podCIDRs?: readonly string[] | undefined;
        readonly taints?: readonly Taint[] | undefined;
      }
    | undefined;
  readonly status?: { readonly addresses?: readonly NodeAddress[] | undefined } | undefined;
  /** Hardware address of its tunnel, of a Node that comes from a subnet lease; no Node of an API server has it. */
  readonly tunnelMac?: string | undefined;
  /** It has a tunnel device for each family, as flannel makes them. */
  readonly hasTunnelPerFamily?: boolean | undefined;
}

/** networking.k8s.io/v1 ServiceCIDR: ranges that cluster IPs are allocated from. */
export interface ServiceCIDR extends KubernetesObject {
  readonly spec: { readonly cidrs: readonly string[] };
}

/** An object that stands for others: Endpoints for slices. */
export interface StandIn<T extends KubernetesObject> extends KubernetesObject {
  readonly objects: readonly T[];
  /** Why it stands for none. */
  readonly whyUnused?: string;
}
