/** How a virtual server in the kernel becomes the one that is wanted. */
import type { Destination, IpvsChange, VirtualServer } from '../../../kernel/ipvs-types.ts';
import type { Protocol } from '../../service.ts';

/** A virtual server as it is in the kernel; its destinations by destinationKey. */
export interface KnownServer {
  readonly server: VirtualServer;
  readonly destinations: ReadonlyMap<string, Destination>;
}

export interface ServerDifference {
  readonly changes: readonly IpvsChange[];
  /** What is in the kernel after them; undefined: no such server. */
  readonly known: KnownServer | undefined;
  /** Destinations that nobody wants are left, for connections that they have. */
  readonly isDraining: boolean;
}

/** `10.1.0.3 8080` */
export function destinationKey({ ip, port }: Pick<Destination, 'ip' | 'port'>): string {
  return `${ip} ${port}`;
}

/**
 * Connections run through their virtual server and destination and end with them. So what nobody
 * wants gets no new connections and stays until it has none; as with kube-proxy, datagrams find
 * another destination at once.
 */
export function serverDifference(
  protocol: Protocol,
  wanted:
    | { readonly server: VirtualServer; readonly destinations: readonly Destination[] }
    | undefined,
  known: KnownServer | undefined,
): ServerDifference {
  if (wanted === undefined) return retirement(protocol, known);
  const { server } = wanted;
  const changes: IpvsChange[] = [];
  if (known === undefined) changes.push({ op: 'addServer', server });
  else if (!isSameServer(known.server, server)) changes.push({ op: 'setServer', server });
  const after = new Map<string, Destination>();
  for (const destination of wanted.destinations) {
    const key = destinationKey(destination);
    const before = known?.destinations.get(key);
    after.set(key, destination);
    if (before?.weight === destination.weight) continue;
    const op = before === undefined ? 'addDestination' : 'setDestination';
    changes.push({ op, key: server.key, destination });
  }
  const unwanted = Array.from(known?.destinations ?? []).filter(([key]) => !after.has(key));
  for (const [key, destination] of unwanted) {
    const { change, left } = destinationRetirement(protocol, server.key, destination);
    if (change !== undefined) changes.push(change);
    if (left !== undefined) after.set(key, left);
  }
  const isDraining = after.size > wanted.destinations.length;
  return { changes, known: { server, destinations: after }, isDraining };
}

function retirement(protocol: Protocol, known: KnownServer | undefined): ServerDifference {
  if (known === undefined) return { changes: [], known: undefined, isDraining: false };
  const { server, destinations } = known;
  const changes: IpvsChange[] = [];
  const after = new Map<string, Destination>();
  for (const [key, destination] of destinations) {
    const { change, left } = destinationRetirement(protocol, server.key, destination);
    if (left === undefined) continue;
    if (change !== undefined) changes.push(change);
    after.set(key, left);
  }
  if (after.size === 0) {
    // Takes its destinations with it.
    return {
      changes: [{ op: 'deleteServer', key: server.key }],
      known: undefined,
      isDraining: false,
    };
  }
  return { changes, known: { server, destinations: after }, isDraining: true };
}

/** What is to be done, and what is left of it then. */
function destinationRetirement(
  protocol: Protocol,
  key: VirtualServer['key'],
  destination: Destination,
): { readonly change?: IpvsChange; readonly left?: Destination } {
  if (protocol === 'udp') return { change: { op: 'deleteDestination', key, destination } };
  const left = { ...destination, weight: 0 };
  if (destination.weight === 0) return { left };
  return { change: { op: 'setDestination', key, destination: left }, left };
}

function isSameServer(left: VirtualServer, right: VirtualServer): boolean {
  return (
    left.scheduler === right.scheduler &&
    left.persistenceSeconds === right.persistenceSeconds &&
    left.persistencePrefixLength === right.persistencePrefixLength &&
    left.fallback === right.fallback &&
    left.hashesPort === right.hashesPort &&
    left.onePacket === right.onePacket
  );
}
