import type { ListedEndpoint, ListedPort, ServiceDetail } from '../debug/lists/values.ts';
import type { ServiceRate } from './rates.ts';
import { MOST_ENDPOINTS, type UiEndpoint, type UiService } from './snapshot.ts';

/** A Service as `weft services NAME` tells it, its address families and ports together. */
export function serviceOf(detail: ServiceDetail, rate: ServiceRate | undefined): UiService {
  const { namespace, name, ports } = detail;
  const endpoints = endpointsOf(detail.endpoints);
  return {
    key: `${namespace}/${name}`,
    addresses: addressesOf(ports),
    ports: portsOf(ports),
    endpoints: endpoints.slice(0, MOST_ENDPOINTS),
    serving: endpoints.filter(({ state }) => state === 'serving').length,
    endpointCount: endpoints.length,
    ...(rate === undefined ? {} : { perSecond: rounded(rate.connections) }),
    ...(rate === undefined || rate.refused === 0
      ? {}
      : { refusedPerSecond: rounded(rate.refused) }),
  };
}

function addressesOf(ports: readonly ListedPort[]): readonly string[] {
  const ips = ports.flatMap(({ frontends }) => {
    return frontends.flatMap(({ kind, ip }) => (kind === 'clusterIP' && ip ? [ip] : []));
  });
  return [...new Set(ips)];
}

/** Each once, though it is there for both families. */
function portsOf(ports: readonly ListedPort[]): UiService['ports'] {
  const known = new Map(
    ports.map(({ name, protocol, port, frontends }) => {
      const nodePort = frontends.find(({ kind }) => kind === 'nodePort')?.port ?? 0;
      return [`${protocol} ${port}`, { name, protocol, port, nodePort }] as const;
    }),
  );
  return [...known.values()];
}

/** Each address once, this node's first, and those that serve before the others. */
function endpointsOf(listed: readonly ListedEndpoint[]): readonly UiEndpoint[] {
  const byAddress = new Map<string, UiEndpoint>();
  for (const endpoint of listed) {
    const known = byAddress.get(endpoint.ip);
    if (known?.state === 'serving') continue;
    const { ip: address, isLocal, node } = endpoint;
    const state = stateOf(endpoint);
    byAddress.set(address, { address, state, isLocal, ...(node === undefined ? {} : { node }) });
  }
  return [...byAddress.values()].toSorted((a, b) => rank(a) - rank(b));
}

function stateOf({ state, usedBy }: ListedEndpoint): UiEndpoint['state'] {
  if (usedBy !== 'nobody') return 'serving';
  if (state === 'ready') return 'left out';
  return state === 'notReady' ? 'not ready' : 'terminating';
}

function rank({ state, isLocal }: UiEndpoint): number {
  return (state === 'serving' ? 0 : 2) + (isLocal ? 0 : 1);
}

function rounded(rate: number): number {
  return Math.round(rate * 10) / 10;
}
