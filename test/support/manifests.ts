/** Kubernetes objects as an API server would hand them out, with only what is under test. */
import { type ManifestObject, plan } from './cluster.ts';

export interface ServiceSpec {
  readonly name: string;
  readonly clusterIPs: readonly string[];
  readonly port: number;
  readonly protocols?: readonly ('TCP' | 'UDP' | 'SCTP')[];
  readonly nodePort?: number;
}

export interface EndpointSpec {
  readonly addresses: readonly string[];
  readonly nodeName: string;
}

const familyOf = (address: string) => (address.includes(':') ? 'IPv6' : 'IPv4');

export function nodeManifest(
  number: number,
  addresses: readonly string[] = plan.nodeAddresses(number),
) {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: `node${number}` },
    spec: { podCIDRs: plan.podCIDRs(number) },
    status: {
      addresses: addresses.map((address) => ({ type: 'InternalIP', address })),
    },
  };
}

export function serviceManifest(spec: ServiceSpec) {
  const { name, clusterIPs, port, protocols = ['TCP'], nodePort } = spec;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: {
      type: nodePort === undefined ? 'ClusterIP' : 'NodePort',
      clusterIP: clusterIPs[0],
      clusterIPs,
      ipFamilies: clusterIPs.map(familyOf),
      ports: protocols.map((protocol) => ({
        name: protocol.toLowerCase(),
        protocol,
        port,
        ...(nodePort === undefined ? {} : { nodePort }),
      })),
    },
  };
}

/** One EndpointSlice per address family, as the controller makes them. */
export function sliceManifests(
  spec: ServiceSpec,
  targetPort: number,
  endpoints: readonly EndpointSpec[],
): ManifestObject[] {
  return spec.clusterIPs.map(familyOf).map((family) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${spec.name}-${family.toLowerCase()}`,
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': spec.name },
    },
    addressType: family,
    ports: (spec.protocols ?? ['TCP']).map((protocol) => ({
      name: protocol.toLowerCase(),
      protocol,
      port: targetPort,
    })),
    endpoints: endpoints.flatMap(({ addresses, nodeName }) =>
      addresses
        .filter((address) => familyOf(address) === family)
        .map((address) => ({ addresses: [address], conditions: { ready: true }, nodeName })),
    ),
  }));
}

/** A Service of type LoadBalancer that has its address already. */
export interface LoadBalancerSpec {
  readonly name: string;
  readonly clusterIP: string;
  readonly address: string;
  readonly isLocal: boolean;
}

export interface ServedBy {
  readonly address: string;
  readonly nodeName: string;
  /** Else it terminates, and answers still. */
  readonly isReady: boolean;
}

/** The Service and its slice. */
export function loadBalancerManifests(
  { name, clusterIP, address, isLocal }: LoadBalancerSpec,
  targetPort: number,
  served: readonly ServedBy[],
): readonly ManifestObject[] {
  const spec = { name, clusterIPs: [clusterIP], port: 80 };
  const { spec: clusterSpec, ...service } = serviceManifest(spec);
  const [slice] = sliceManifests(spec, targetPort, []);
  const externalTrafficPolicy = isLocal ? 'Local' : 'Cluster';
  const endpoints = served.map(({ address: ip, nodeName, isReady }) => ({
    ...{ addresses: [ip], nodeName },
    conditions: { ready: isReady, serving: true, terminating: !isReady },
  }));
  return [
    {
      ...service,
      ...{ spec: { ...clusterSpec, type: 'LoadBalancer', externalTrafficPolicy } },
      ...{ status: { loadBalancer: { ingress: [{ ip: address }] } } },
    },
    ...(slice === undefined ? [] : [{ ...slice, ...{ endpoints } }]),
  ];
}
