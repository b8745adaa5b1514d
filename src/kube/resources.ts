import { endpointSliceDecoder, nodeDecoder, serviceCIDRDecoder, serviceDecoder } from './decode.ts';
import {
  type AddressPoolObject,
  decodeAddressPool,
  decodeMetalLBPool,
} from './decode-address-pool.ts';
import { endpointsDecoder } from './decode-endpoints.ts';
import { decodeLease, type Lease } from './decode-lease.ts';
import { decodeServiceAddresses, type ServiceAddresses } from './decode-service-addresses.ts';
import type { DecodeMode } from './fields.ts';
import type {
  EndpointSlice,
  KubernetesObject,
  Node,
  Service,
  ServiceCIDR,
  StandIn,
} from './types.ts';

/** Label that hands a Service to another proxy. */
export const SERVICE_PROXY_NAME_LABEL = 'service.kubernetes.io/service-proxy-name';
/** Label the slices of a headless Service carry. */
const HEADLESS_LABEL = 'service.kubernetes.io/headless';
/** Label that names the Service a slice belongs to. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';
/** Annotation with the time of the change that caused the latest update of a slice (RFC 3339). */
export const TRIGGER_TIME_ANNOTATION = 'endpoints.kubernetes.io/last-change-trigger-time';
/** Annotation that says how connections are spread over endpoints. */
export const BALANCE_ANNOTATION = 'weft.dev/balance';
/** Annotation that gives endpoints different shares of the connections. */
export const WEIGHTS_ANNOTATION = 'weft.dev/weights';
/** The scheduler of the Service's virtual servers, in IPVS mode. */
export const IPVS_SCHEDULER_ANNOTATION = 'weft.dev/ipvs-scheduler';
const BALANCING_ANNOTATIONS: readonly string[] = [
  BALANCE_ANNOTATION,
  WEIGHTS_ANNOTATION,
  IPVS_SCHEDULER_ANNOTATION,
];

/** Annotations by which a Service asks for addresses: ours, and MetalLB's that Services have already. */
export const ADDRESS_ANNOTATIONS = {
  wanted: [
    'weft.dev/load-balancer-ips',
    'metallb.io/loadBalancerIPs',
    'metallb.universe.tf/loadBalancerIPs',
  ],
  pool: ['weft.dev/address-pool', 'metallb.io/address-pool', 'metallb.universe.tf/address-pool'],
  sharing: [
    'weft.dev/share-address',
    'metallb.io/allow-shared-ip',
    'metallb.universe.tf/allow-shared-ip',
  ],
} as const;
const SERVICE_ANNOTATIONS = new Set<string>([
  ...BALANCING_ANNOTATIONS,
  ...Object.values(ADDRESS_ANNOTATIONS).flat(),
]);

/** Annotations of Nodes that are ours. */
const OWN_PREFIX = 'weft.dev/';
/** Label with the zone of a Node. */
export const ZONE_LABEL = 'topology.kubernetes.io/zone';
/** Taint by which the cluster autoscaler says that it will remove a Node. */
export const AUTOSCALER_TAINT = 'ToBeDeletedByClusterAutoscaler';

/** Where the API serves a kind of object and which objects are wanted. */
export interface ResourceKind {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly isNamespaced: boolean;
  /** Evaluated by the API server. */
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

/** A kind together with how its objects are chosen and decoded. */
export interface Resource<T extends KubernetesObject> extends ResourceKind {
  /** The same choice as both selectors, for files and for servers that refuse the field selector. */
  readonly isSelected: (object: T) => boolean;
  /** Checks the fields the agent reads and drops all others. Throws FieldError. */
  readonly decode: (value: unknown, mode: DecodeMode) => T;
  /** What an object counts when a list drops many at once; absent leaves the kind unguarded. */
  readonly weigh?: (object: T) => number;
  /** Losses up to this weight are believed whatever share they are; where it is given, half is held back. */
  readonly unguardedLoss?: number;
  /** No object stands for another: each that a list lacks is lost, and half of all is held back. */
  readonly isEachGuarded?: boolean;
  /** What the last run knew counts as held when the first list comes: what that lacks would open something. */
  readonly isHeldFromLastRun?: boolean;
  /** What stands for an object that cannot be read; absent or undefined: what was known of it. */
  readonly whenUnreadable?: (raw: unknown, reason: string, known: T | undefined) => T | undefined;
  /** A wider choice of the same kind: who reads that has these objects too. */
  readonly within?: Resource<T>;
  /** Older API servers do not serve the kind: it then counts as empty. */
  readonly isOptional?: boolean;
  /** Of an optional kind: that it may not be read is a failure, not a kind that is missing. */
  readonly isRequiredWhereServed?: boolean;
  /** Why an object that is selected has no effect, for the person who wrote the file. */
  readonly whyUnused?: (object: T) => string | undefined;
  /** Versions of the group whose objects in files are read like those of `version`. */
  readonly olderVersions?: readonly string[];
  /** A kind of files that stands for objects of this one. */
  readonly standIn?: StandInKind<T>;
}

/** A kind whose objects each stand for a group of others, as long as the group has none in files. */
export interface StandInKind<T extends KubernetesObject> {
  readonly apiVersion: string;
  readonly kind: string;
  readonly decode: (value: unknown, mode: DecodeMode) => StandIn<T>;
  /** The key of the object that would stand for this one; undefined for none. */
  readonly groupOf: (object: T) => string | undefined;
}

/** Services this proxy is responsible for; the selection is kube-proxy's. */
export const services: Resource<Service> = {
  group: '',
  version: 'v1',
  plural: 'services',
  kind: 'Service',
  isNamespaced: true,
  labelSelector: `!${SERVICE_PROXY_NAME_LABEL}`,
  fieldSelector: 'spec.clusterIP!=None',
  isSelected: ({ metadata, spec }) =>
    metadata.labels?.[SERVICE_PROXY_NAME_LABEL] === undefined && spec.clusterIP !== 'None',
  decode: serviceDecoder({
    isLabelKept: (key) => key === SERVICE_PROXY_NAME_LABEL,
    isAnnotationKept: (key) => SERVICE_ANNOTATIONS.has(key),
  }),
  weigh: () => 1,
  whyUnused: ({ spec }) =>
    spec.type === 'ExternalName' || spec.clusterIP
      ? undefined
      : 'it has no clusterIP, and without an API server nobody allocates one',
};

const SLICE_KEPT = {
  isLabelKept: (key: string) => key === SERVICE_NAME_LABEL || key === HEADLESS_LABEL,
  isAnnotationKept: (key: string) => key === TRIGGER_TIME_ANNOTATION,
};

/** EndpointSlices of Services that have a virtual address; the selection is kube-proxy's. */
export const endpointSlices: Resource<EndpointSlice> = {
  group: 'discovery.k8s.io',
  version: 'v1',
  plural: 'endpointslices',
  kind: 'EndpointSlice',
  isNamespaced: true,
  labelSelector: `!${HEADLESS_LABEL}`,
  isSelected: ({ metadata }) => metadata.labels?.[HEADLESS_LABEL] === undefined,
  decode: endpointSliceDecoder(SLICE_KEPT),
  weigh: ({ endpoints }) => endpoints.length,
  whyUnused: (slice) => {
    if (slice.addressType === 'FQDN') return 'addressType FQDN: only addresses are served';
    return serviceOf(slice) === undefined ? `it lacks the label ${SERVICE_NAME_LABEL}` : undefined;
  },
  olderVersions: ['v1beta1'],
  standIn: {
    apiVersion: 'v1',
    kind: 'Endpoints',
    decode: endpointsDecoder(SLICE_KEPT, SERVICE_NAME_LABEL),
    groupOf: serviceOf,
  },
};

/** `namespace/name` of the Service that a slice belongs to. */
function serviceOf({ metadata }: EndpointSlice): string | undefined {
  const name = metadata.labels?.[SERVICE_NAME_LABEL];
  return name === undefined ? undefined : `${metadata.namespace}/${name}`;
}

/** The ranges of cluster IPs; served since Kubernetes 1.33. */
export const serviceCIDRs: Resource<ServiceCIDR> = {
  group: 'networking.k8s.io',
  version: 'v1',
  plural: 'servicecidrs',
  kind: 'ServiceCIDR',
  isNamespaced: false,
  isSelected: () => true,
  decode: serviceCIDRDecoder({ isLabelKept: () => false, isAnnotationKept: () => false }),
  isOptional: true,
};

/** Addresses for Services of type LoadBalancer; the CRD is one of ours. */
export const addressPools: Resource<AddressPoolObject> = {
  group: 'weft.dev',
  version: 'v1alpha1',
  plural: 'addresspools',
  kind: 'AddressPool',
  isNamespaced: false,
  isSelected: () => true,
  decode: decodeAddressPool,
  weigh: () => 1,
  isOptional: true,
  isRequiredWhereServed: true,
};

/** Pools that MetalLB was given. */
export const metalLBPools: Resource<AddressPoolObject> = {
  ...addressPools,
  group: 'metallb.io',
  version: 'v1beta1',
  plural: 'ipaddresspools',
  kind: 'IPAddressPool',
  isNamespaced: true,
  decode: decodeMetalLBPool,
};

/** What weft notes of Services where no API server keeps their status. */
export const serviceAddresses: Resource<ServiceAddresses> = {
  group: 'weft.dev',
  version: 'v1alpha1',
  plural: 'serviceaddresses',
  kind: 'ServiceAddresses',
  isNamespaced: true,
  isSelected: () => true,
  decode: decodeServiceAddresses,
  weigh: () => 1,
};

/** Label of the Leases by which nodes say that they answer for addresses of Services. */
export const ANNOUNCER_LABEL = 'weft.dev/announcer';

/** Leases of nodes that can answer for addresses. */
export const announcerLeases: Resource<Lease> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  isNamespaced: true,
  labelSelector: ANNOUNCER_LABEL,
  isSelected: () => true,
  decode: decodeLease,
};

const allNodes: Resource<Node> = {
  group: '',
  version: 'v1',
  plural: 'nodes',
  kind: 'Node',
  isNamespaced: false,
  isSelected: () => true,
  decode: nodeDecoder({
    // Policies select Nodes by any of them.
    isLabelKept: () => true,
    isAnnotationKept: (key) => key.startsWith(OWN_PREFIX),
    isTaintKept: (key) => key === AUTOSCALER_TAINT,
  }),
  weigh: () => 1,
  unguardedLoss: 1,
};

/** All Nodes, or the one called `name`. */
export function nodes(name?: string): Resource<Node> {
  if (name === undefined) return allNodes;
  return {
    ...allNodes,
    fieldSelector: `metadata.name=${name}`,
    isSelected: ({ metadata }) => metadata.name === name,
    within: allNodes,
  };
}

/** `namespace/name`, or the name alone for cluster-scoped objects. */
export function objectKey({ metadata }: KubernetesObject): string {
  return metadata.namespace === '' ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

/** `v1` or `<group>/<version>`, as objects spell it. */
export function apiVersionOf(resource: ResourceKind): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}
