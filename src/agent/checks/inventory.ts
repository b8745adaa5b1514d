import type { IPFamily } from '../../net/ip.ts';
import type { ProxySnapshot } from '../../proxy/snapshot.ts';
import type { CheckedEndpoint, CheckedPort } from './checked-node.ts';

/** What of Services concerns the node itself. */
export interface Inventory {
  readonly nodePorts: readonly CheckedPort[];
  /** Of other nodes, one for each node and family. */
  readonly endpoints: readonly CheckedEndpoint[];
}

/** Nodes of which an endpoint is wanted; those of ten thousand Services need not all be looked at. */
const MOST_NODES = 64;

/** Reads it off what the proxy knows. Pure. */
export function inventoryOf(snapshots: ReadonlyMap<IPFamily, ProxySnapshot>): Inventory {
  const ports = new Map<string, CheckedPort>();
  const endpoints: CheckedEndpoint[] = [];
  for (const snapshot of snapshots.values()) {
    const seen = new Set<string>();
    for (const [service, entry] of snapshot.services()) {
      for (const { nodePort: port, protocol } of entry.ports) {
        if (port !== 0) ports.set(`${protocol} ${port}`, { service, protocol, port });
      }
      if (seen.size < MOST_NODES) endpoints.push(...remoteEndpoints(snapshot, service, seen));
    }
  }
  return { nodePorts: [...ports.values()], endpoints };
}

function remoteEndpoints(
  snapshot: ProxySnapshot,
  service: string,
  seen: Set<string>,
): readonly CheckedEndpoint[] {
  const found: CheckedEndpoint[] = [];
  for (const { endpoints } of snapshot.slices(service)) {
    for (const { ip: address, isLocal, isReady, nodeName: node } of endpoints) {
      if (isLocal || !isReady || node === undefined || seen.has(node)) continue;
      seen.add(node);
      found.push({ address, node });
    }
  }
  return found;
}
