import { type DecodeMode, ObjectReader } from './fields.ts';
import { interned } from './interned.ts';
import type {
  Endpoint,
  EndpointConditions,
  EndpointHints,
  EndpointPort,
  EndpointSlice,
  Node,
  NodeAddress,
  ObjectMeta,
  Protocol,
  Service,
  ServiceCIDR,
  ServicePort,
  ServiceSpec,
  ServiceStatus,
  Taint,
} from './types.ts';

const MAX_PORT = 65_535;
const MAX_INT32 = 2_147_483_647;
const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];

/** What of an object's metadata is kept besides its identity. */
export interface Kept {
  readonly isLabelKept: (key: string) => boolean;
  readonly isAnnotationKept: (key: string) => boolean;
}

type Decode<T> = (value: unknown, mode: DecodeMode) => T;

/** Reads `metadata`; a namespaced object that names no namespace is in `default`, as for kubectl. */
export function decodeMeta(object: ObjectReader, kept: Kept, isNamespaced: boolean): ObjectMeta {
  const meta = object.object('metadata');
  return {
    name: meta.string('name'),
    namespace: isNamespaced ? interned(meta.optionalString('namespace') || 'default') : '',
    uid: meta.optionalString('uid'),
    resourceVersion: meta.optionalString('resourceVersion'),
    labels: meta.optionalStringMap('labels', kept.isLabelKept),
    annotations: meta.optionalStringMap('annotations', kept.isAnnotationKept),
    creationTimestamp: meta.optionalString('creationTimestamp'),
    deletionTimestamp: meta.optionalString('deletionTimestamp'),
  };
}

/** Decoder of core/v1 Service; throws FieldError. */
export function serviceDecoder(kept: Kept): Decode<Service> {
  return (value, mode) => {
    const object = new ObjectReader(value, mode);
    return {
      metadata: decodeMeta(object, kept, true),
      spec: decodeServiceSpec(object.object('spec')),
      status: decodeServiceStatus(object.optionalObject('status')),
    };
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
    ...loadBalancerFields(spec),
  };
}

/** Most Services have neither, and need no room for them. */
function loadBalancerFields(spec: ObjectReader) {
  const loadBalancerClass = interned(spec.optionalString('loadBalancerClass'));
  const loadBalancerIP = spec.optionalString('loadBalancerIP');
  return {
    ...(loadBalancerClass === undefined ? {} : { loadBalancerClass }),
    ...(loadBalancerIP === undefined || loadBalancerIP === '' ? {} : { loadBalancerIP }),
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

/** Decoder of discovery.k8s.io/v1 EndpointSlice; throws FieldError. */
export function endpointSliceDecoder(kept: Kept): Decode<EndpointSlice> {
  return (value, mode) => {
    const object = new ObjectReader(value, mode);
    return {
      metadata: decodeMeta(object, kept, true),
      addressType: object.choice('addressType', ['IPv4', 'IPv6', 'FQDN']),
      endpoints: object.optionalObjects('endpoints')?.map(decodeEndpoint) ?? [],
      ports: object.optionalObjects('ports')?.map(decodeEndpointPort) ?? [],
    };
  };
}

/** Where v1beta1 told an endpoint's node and zone. */
const TOPOLOGY_NODE = 'kubernetes.io/hostname';
const TOPOLOGY_ZONE = 'topology.kubernetes.io/zone';
const isTopologyRead = (key: string) => key === TOPOLOGY_NODE || key === TOPOLOGY_ZONE;

function decodeEndpoint(endpoint: ObjectReader): Endpoint {
  const topology = endpoint.optionalStringMap('topology', isTopologyRead);
  return {
    addresses: endpoint.optionalStrings('addresses') ?? [],
    conditions: decodeConditions(endpoint.optionalObject('conditions')),
    nodeName: interned(endpoint.optionalString('nodeName') ?? topology?.[TOPOLOGY_NODE]),
    zone: interned(endpoint.optionalString('zone') ?? topology?.[TOPOLOGY_ZONE]),
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

/** Names of these two kinds are of no use without a resolver. */
const UNUSED_ADDRESSES: readonly string[] = ['InternalDNS', 'ExternalDNS'];

/** Decoder of core/v1 Node; throws FieldError. */
export function nodeDecoder(
  kept: Kept & { readonly isTaintKept: (key: string) => boolean },
): Decode<Node> {
  return (value, mode) => {
    const object = new ObjectReader(value, mode);
    const spec = object.optionalObject('spec');
    const addresses = object.optionalObject('status')?.optionalObjects('addresses');
    return {
      metadata: withSharedLabels(decodeMeta(object, kept, false)),
      spec: spec && {
        podCIDRs: decodePodCIDRs(spec),
        taints: decodeTaints(spec, kept.isTaintKept),
      },
      status: addresses && { addresses: decodeNodeAddresses(addresses) },
    };
  };
}

/** Thousands of Nodes have nearly the same ones. */
function withSharedLabels(meta: ObjectMeta): ObjectMeta {
  if (meta.labels === undefined) return meta;
  const labels = Object.entries(meta.labels).map(([key, value]) => [key, interned(value)] as const);
  return { ...meta, labels: Object.fromEntries(labels) };
}

/** Objects of files may have the older field alone. */
function decodePodCIDRs(spec: ObjectReader): readonly string[] | undefined {
  const all = spec.optionalStrings('podCIDRs') ?? [];
  const first = spec.optionalString('podCIDR');
  if (all.length > 0) return all;
  return first ? [first] : undefined;
}

function decodeTaints(
  spec: ObjectReader,
  isKept: (key: string) => boolean,
): readonly Taint[] | undefined {
  const keys = spec.optionalObjects('taints')?.map((taint) => taint.string('key')) ?? [];
  const kept = keys.filter(isKept);
  return kept.length === 0 ? undefined : kept.map((key) => ({ key }));
}

function decodeNodeAddresses(entries: readonly ObjectReader[]): readonly NodeAddress[] {
  const addresses = entries.map((entry) => ({
    type: interned(entry.string('type')),
    address: entry.string('address'),
  }));
  return addresses.filter(({ type }) => !UNUSED_ADDRESSES.includes(type));
}

/** Decoder of networking.k8s.io/v1 ServiceCIDR; throws FieldError. */
export function serviceCIDRDecoder(kept: Kept): Decode<ServiceCIDR> {
  return (value, mode) => {
    const object = new ObjectReader(value, mode);
    return {
      metadata: decodeMeta(object, kept, false),
      spec: { cidrs: object.object('spec').optionalStrings('cidrs') ?? [] },
    };
  };
}
