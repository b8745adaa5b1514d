import { type DecodeMode, ObjectReader } from './fields.ts';
import { interned } from './interned.ts';
import type {
  Endpoint,
  EndpointConditions,
  EndpointHints,
  EndpointPort,
  EndpointSlice,
  KubernetesObject,
  Node,
  ObjectMeta,
  Protocol,
  Service,
  ServicePort,
  ServiceSpec,
  ServiceStatus,
} from './types.ts';

/** Label that hands a Service to another proxy. */
export const SERVICE_PROXY_NAME_LABEL = 'service.kubernetes.io/service-proxy-name';
/** Label the slices of a headless Service carry. */
export const HEADLESS_LABEL = 'service.kubernetes.io/headless';
/** Label that names the Service a slice belongs to. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';
/** Annotation with the time of the change that caused the latest update of a slice (RFC 3339). */
export const TRIGGER_TIME_ANNOTATION = 'endpoints.kubernetes.io/last-change-trigger-time';

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
  decode: decodeService,
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
  decode: decodeEndpointSlice,
};

const allNodes: Resource<Node> = {
  group: '',
  version: 'v1',
  plural: 'nodes',
  kind: 'Node',
  isNamespaced: false,
  isSelected: () => true,
  decode: decodeNode,
};

/** All Nodes, or the one called `name`. */
export function nodes(name?: string): Resource<Node> {
  if (name === undefined) return allNodes;
  return {
    ...allNodes,
    fieldSelector: `metadata.name=${name}`,
    isSelected: ({ metadata }) => metadata.name === name,
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

const MAX_PORT = 65_535;
const MAX_INT32 = 2_147_483_647;
const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];
const KUBECTL_COPY_ANNOTATION = 'kubectl.kubernetes.io/last-applied-configuration';

interface Kept {
  readonly isNamespaced: boolean;
  readonly isLabelKept: (key: string) => boolean;
  readonly isAnnotationKept: (key: string) => boolean;
}

/** Reads `metadata`; a namespaced object that names no namespace is in `default`, as for kubectl. */
function decodeMeta(object: ObjectReader, kept: Kept): ObjectMeta {
  const meta = object.object('metadata');
  return {
    name: meta.string('name'),
    namespace: kept.isNamespaced ? interned(meta.optionalString('namespace') || 'default') : '',
    uid: meta.optionalString('uid'),
    resourceVersion: meta.optionalString('resourceVersion'),
    labels: meta.optionalStringMap('labels', kept.isLabelKept),
    annotations: meta.optionalStringMap('annotations', kept.isAnnotationKept),
    creationTimestamp: meta.optionalString('creationTimestamp'),
    deletionTimestamp: meta.optionalString('deletionTimestamp'),
  };
}

const keptOfService: Kept = {
  isNamespaced: true,
  isLabelKept: (key) => key === SERVICE_PROXY_NAME_LABEL,
  isAnnotationKept: (key) => key !== KUBECTL_COPY_ANNOTATION,
};

function decodeService(value: unknown, mode: DecodeMode): Service {
  const object = new ObjectReader(value, mode);
  return {
    metadata: decodeMeta(object, keptOfService),
    spec: decodeServiceSpec(object.object('spec')),
    status: decodeServiceStatus(object.optionalObject('status')),
  };
}

function decodeServiceSpec(spec: ObjectReader): ServiceSpec {
  const clientIP = spec.optionalObject('sessionAffinityConfig')?.optionalObject('clientIP');
  const timeoutSeconds = clientIP?.optionalInteger('timeoutSeconds', 0, MAX_INT32);
  return {
    type: spec.optionalChoice('type', ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']),
    clusterIP: spec.optionalString('clusterIP'),
    clusterIPs: spec.optionalStrings('clusterIPs'),
    ipFamilies: spec.optionalStrings('ipFamilies'),
    ports: spec.optionalObjects('ports')?.map(decodeServicePort),
    externalIPs: spec.optionalStrings('externalIPs'),
    loadBalancerSourceRanges: spec.optionalStrings('loadBalancerSourceRanges'),
    sessionAffinity: spec.optionalChoice('sessionAffinity', ['None', 'ClientIP']),
    sessionAffinityConfig:
      timeoutSeconds === undefined ? undefined : { clientIP: { timeoutSeconds } },
    internalTrafficPolicy: spec.optionalChoice('internalTrafficPolicy', ['Cluster', 'Local']),
    externalTrafficPolicy: spec.optionalChoice('externalTrafficPolicy', ['Cluster', 'Local']),
    healthCheckNodePort: spec.optionalInteger('healthCheckNodePort', 0, MAX_PORT),
  };
}

function decodeServicePort(port: ObjectReader): ServicePort {
  return {
    name: port.optionalString('name'),
    protocol: port.optionalClosedChoice('protocol', PROTOCOLS) ?? 'TCP',
    port: port.integer('port', 1, MAX_PORT),
    nodePort: port.optionalInteger('nodePort', 0, MAX_PORT),
  };
}

function decodeServiceStatus(status: ObjectReader | undefined): ServiceStatus | undefined {
  const ingress = status?.optionalObject('loadBalancer')?.optionalObjects('ingress');
  if (ingress === undefined || ingress.length === 0) return undefined;
  return {
    loadBalancer: {
      ingress: ingress.map((entry) => ({
        ip: entry.optionalString('ip'),
        ipMode: entry.optionalChoice('ipMode', ['VIP', 'Proxy']),
      })),
    },
  };
}

const keptOfEndpointSlice: Kept = {
  isNamespaced: true,
  isLabelKept: (key) => key === SERVICE_NAME_LABEL || key === HEADLESS_LABEL,
  isAnnotationKept: (key) => key === TRIGGER_TIME_ANNOTATION,
};

function decodeEndpointSlice(value: unknown, mode: DecodeMode): EndpointSlice {
  const object = new ObjectReader(value, mode);
  return {
    metadata: decodeMeta(object, keptOfEndpointSlice),
    addressType: object.choice('addressType', ['IPv4', 'IPv6', 'FQDN']),
    endpoints: object.optionalObjects('endpoints')?.map(decodeEndpoint) ?? [],
    ports: object.optionalObjects('ports')?.map(decodeEndpointPort) ?? [],
  };
}

function decodeEndpoint(endpoint: ObjectReader): Endpoint {
  return {
    addresses: endpoint.optionalStrings('addresses') ?? [],
    conditions: decodeConditions(endpoint.optionalObject('conditions')),
    nodeName: interned(endpoint.optionalString('nodeName')),
    zone: interned(endpoint.optionalString('zone')),
    hints: decodeHints(endpoint.optionalObject('hints')),
  };
}

/** Nearly every endpoint is in this state: one shared value saves megabytes in a large cluster. */
const RUNNING: EndpointConditions = { ready: true, serving: true, terminating: false };

function decodeConditions(conditions: ObjectReader | undefined): EndpointConditions | undefined {
  if (conditions === undefined) return undefined;
  const ready = conditions.optionalBoolean('ready');
  const serving = conditions.optionalBoolean('serving');
  const terminating = conditions.optionalBoolean('terminating');
  if (ready === true && serving === true && terminating === false) return RUNNING;
  return { ready, serving, terminating };
}

function decodeHints(hints: ObjectReader | undefined): EndpointHints | undefined {
  if (hints === undefined) return undefined;
  const names = (key: string) =>
    hints.optionalObjects(key)?.map((entry) => ({ name: interned(entry.string('name')) }));
  return { forZones: names('forZones'), forNodes: names('forNodes') };
}

function decodeEndpointPort(port: ObjectReader): EndpointPort {
  return {
    name: port.optionalString('name'),
    protocol: port.optionalClosedChoice('protocol', PROTOCOLS) ?? 'TCP',
    port: port.optionalInteger('port', 0, MAX_PORT),
  };
}

const keptOfNode: Kept = {
  isNamespaced: false,
  isLabelKept: () => true,
  isAnnotationKept: (key) => key !== KUBECTL_COPY_ANNOTATION,
};

function decodeNode(value: unknown, mode: DecodeMode): Node {
  const object = new ObjectReader(value, mode);
  const spec = object.optionalObject('spec');
  const addresses = object.optionalObject('status')?.optionalObjects('addresses');
  return {
    metadata: decodeMeta(object, keptOfNode),
    spec: spec && {
      podCIDR: spec.optionalString('podCIDR'),
      podCIDRs: spec.optionalStrings('podCIDRs'),
      taints: spec.optionalObjects('taints')?.map((taint) => ({ key: taint.string('key') })),
    },
    status: addresses && {
      addresses: addresses.map((entry) => ({
        type: entry.string('type'),
        address: entry.string('address'),
      })),
    },
  };
}
