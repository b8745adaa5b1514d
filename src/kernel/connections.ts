/** Connections as they come and go, and those that there are. */
import { type Connection, decodeConnection } from '../netlink/ctnetlink/connection.ts';
import { CT_DELETE, CT_GET, CT_GROUP, CT_NEW } from '../netlink/ctnetlink/constants.ts';
import { encodeFlowFilter, matchesFlow } from '../netlink/ctnetlink/request.ts';
import { dumpInParts } from '../netlink/dump-in-parts.ts';
import type { NetlinkReply } from '../netlink/message.ts';
import { NETLINK_NETFILTER } from '../netlink/numbers.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { systemClock } from '../util/clock.ts';
import { readIfReadable } from '../util/files.ts';
import type { FlowFilter, Netns } from './types.ts';

export type { Connection } from '../netlink/ctnetlink/connection.ts';

/** `new`: the first packet has passed; nothing is counted yet. */
export interface ConnectionEvent {
  readonly kind: 'new' | 'end';
  readonly connection: Connection;
}

/** Told in order; `lost` is how many events the kernel has dropped since the last time. */
export interface ConnectionBatch {
  readonly events: readonly ConnectionEvent[];
  readonly lost: number;
}

export interface ConnectionWatchOptions {
  /** Absent: the namespace of this process. */
  readonly netns?: Netns;
  readonly receiveBufferBytes?: number;
}

/** Some thousand events; the kernel takes the memory only while they wait. */
const EVENT_BUFFER_BYTES = 4 << 20;
/** One event each: decoded in a few milliseconds. */
const MOST_AT_ONCE = 256;
const PACE = { mostAtOnce: MOST_AT_ONCE, rest: { ms: 20, clock: systemClock } };
const LISTING_BUFFER_BYTES = 1 << 20;

/**
 * Joins the groups of new and ended connections until closed. The kernel waits for nobody: what is not
 * read in time is lost and counted. With nf_conntrack_events at 2 the kernel makes events
 * only while somebody listens, so connections from before end untold.
 */
export function watchConnections(
  options: ConnectionWatchOptions,
  listener: (batch: ConnectionBatch) => void,
): { close(): void } {
  const { netns, receiveBufferBytes = EVENT_BUFFER_BYTES } = options;
  const socket = NetlinkSocket.open(NETLINK_NETFILTER, {
    ...(netns === undefined ? {} : { netns }),
    receiveBufferBytes,
  });
  for (const group of Object.values(CT_GROUP)) socket.join(group);
  const drops = new Drops(socket.portId, netns);
  socket.subscribe((messages) => {
    if (messages === 'overflow') {
      listener({ events: [], lost: drops.overflown() });
      return;
    }
    const events = messages.flatMap((message) => decodeEvent(message) ?? []);
    const lost = messages.length < MOST_AT_ONCE ? drops.emptied() : 0;
    if (events.length > 0 || lost > 0) listener({ events, lost });
  }, PACE);
  return socket;
}

function decodeEvent({ type, payload }: NetlinkReply): ConnectionEvent | undefined {
  if (type !== CT_NEW && type !== CT_DELETE) return undefined;
  const connection = decodeConnection(payload);
  return connection && { kind: type === CT_NEW ? 'new' : 'end', connection };
}

/**
 * Lists the connections that match, in parts, with turns of the event loop in between; a part waits for
 * the one before. Gives false where some may be missing, because the table changed meanwhile.
 */
export async function listConnections(
  netns: Netns | undefined,
  filter: FlowFilter,
  onPart: (connections: readonly Connection[]) => void | Promise<void>,
): Promise<boolean> {
  const socket = NetlinkSocket.open(NETLINK_NETFILTER, {
    ...(netns === undefined ? {} : { netns }),
    receiveBufferBytes: LISTING_BUFFER_BYTES,
  });
  try {
    const request = { type: CT_GET, payload: encodeFlowFilter(filter), what: 'list connections' };
    return await dumpInParts(socket, request, async (replies) => {
      const connections: Connection[] = [];
      for (const { payload } of replies) {
        const connection = decodeConnection(payload);
        if (connection !== undefined && matchesFlow(filter, connection.flow)) {
          connections.push(connection);
        }
      }
      if (connections.length > 0) await onPart(connections);
    });
  } finally {
    socket.close();
  }
}

/**
 * What the kernel has dropped for one socket, of its column Drops in /proc/net/netlink. From an overflow
 * until the queue was empty it drops everything, and tells of that once (netlink_overrun).
 */
class Drops {
  readonly #portId: number;
  readonly #isReadable: boolean;
  #before = 0;
  #isCongested = false;

  constructor(portId: number, netns: Netns | undefined) {
    this.#portId = portId;
    // The file is about the namespace of who reads it.
    this.#isReadable = netns === undefined;
  }

  /** At least one. */
  overflown(): number {
    this.#isCongested = true;
    return Math.max(1, this.#since());
  }

  /** What was dropped since the overflow was told. */
  emptied(): number {
    if (!this.#isCongested) return 0;
    this.#isCongested = false;
    return this.#since();
  }

  #since(): number {
    const text = this.#isReadable ? readIfReadable('/proc/net/netlink') : undefined;
    const total = text === undefined ? undefined : dropsOf(text, NETLINK_NETFILTER, this.#portId);
    if (total === undefined) return 0;
    const lost = total - this.#before;
    this.#before = total;
    return lost;
  }
}

/**
 * `sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode` (net/netlink/af_netlink.c, netlink_native_seq_show);
 * undefined where the socket is not listed.
 */
export function dropsOf(text: string, protocol: number, portId: number): number | undefined {
  for (const line of text.split('\n')) {
    const columns = line.trim().split(/\s+/);
    if (Number(columns[1]) !== protocol || Number(columns[2]) !== portId) continue;
    const drops = Number(columns[8]);
    return Number.isInteger(drops) ? drops : undefined;
  }
  return undefined;
}
