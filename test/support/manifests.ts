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
