/** Services of a made-up cluster by number: the same ones for every contender. */
import type { EndpointSlice, Service } from '../../src/kube/types.ts';

export const ENDPOINTS = 5;
export const SERVICE_PORT = 80;
const TARGET_PORT = 8080;
/** As many as the endpoint slice controller puts into one slice. */
const SLICE_SIZE = 100;

/** A Service with the slices that belong to it. */
export interface ServiceObjects {
  readonly service: Service;
  readonly slices: readonly EndpointSlice[];
}

/** Address of Service `n`, up to 131,071. */
export function clusterIPOf(n: number): string {
  return `172.${30 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`;
}

/**
 * Service `n` with one TCP port and 5 endpoints on as many nodes. Its last endpoint moves to
 * another address with every `round`.
 */
export function serviceObjects(n: number, round = 0): ServiceObjects {
  const addresses = Array.from({ length: ENDPOINTS }, (_, e) => {
    const block = e === ENDPOINTS - 1 ? e + round : e;
    return `10.${block}.${(n >> 8) & 255}.${n & 255}`;
  });
  return withEndpoints(n, addresses);
}

/** Service `n` with `count` endpoints, the last of which moves with every `round`. */
export function largeService(n: number, count: number, round = 0): ServiceObjects {
  const addresses = Array.from({ length: count }, (_, e) => {
    const block = e === count - 1 ? 201 + round : 200;
    return `10.${block}.${e >> 8}.${e & 255}`;
  });
  return withEndpoints(n, addresses);
}

/** Service `n` with these endpoints, all ready. */
export function withEndpoints(n: number, addresses: readonly string[]): ServiceObjects {
  const name = `svc-${n}`;
  const sliceCount = Math.ceil(addresses.length / SLICE_SIZE);
  return {
    service: serviceOf(name, clusterIPOf(n)),
    slices: Array.from({ length: sliceCount }, (_, part) =>
      sliceOf(name, part, addresses.slice(part * SLICE_SIZE, (part + 1) * SLICE_SIZE)),
    ),
  };
}

/** The objects as a manifest file holds them. */
export function manifestItems({ service, slices }: ServiceObjects): readonly object[] {
  return [
    { apiVersion: 'v1', kind: 'Service', ...service },
    ...slices.map((slice) => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      ...slice,
    })),
  ];
}

function serviceOf(name: string, clusterIP: string): Service {
  return {
    metadata: { name, namespace: 'default' },
    spec: {
      type: 'ClusterIP',
      clusterIP,
      clusterIPs: [clusterIP],
      ipFamilies: ['IPv4'],
      ports: [{ name: 'http', protocol: 'TCP', port: SERVICE_PORT }],
    },
  };
}

function sliceOf(service: string, part: number, addresses: readonly string[]): EndpointSlice {
  return {
    metadata: {
      name: `${service}-${part}`,
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': service },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', protocol: 'TCP', port: TARGET_PORT }],
    endpoints: addresses.map((address, e) => ({
      addresses: [address],
      conditions: { ready: true },
      nodeName: `node${e % ENDPOINTS}`,
    })),
  };
}
