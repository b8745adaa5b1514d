import { eachAttribute, readAttributes, readString } from '../netlink/attributes.ts';
import { NETLINK_NETFILTER } from '../netlink/numbers.ts';
import { type EventListener, type NetlinkReply, NetlinkSocket } from '../netlink/socket.ts';
import { GEN, MSG, NFNL_SUBSYS_NFTABLES, NFNLGRP_NFTABLES, TABLE } from './constants.ts';
import { decodeFamily } from './decode.ts';
import { tableText } from './text.ts';

/** The kernel sends one message per changed element; a cold start of a proxy must fit in. */
const RECEIVE_BUFFER_BYTES = 32 * 1024 * 1024;
const FAMILY_HEADER_BYTES = 4;
/** Of about forty messages each: others have a turn while a large transaction is told. */
const DATAGRAMS_AT_ONCE = 32;

/** One transaction that somebody committed. */
export interface TableEvent {
  /** As `tableText` writes them: `ip weft-proxy`. */
  readonly tables: ReadonlySet<string>;
  /** Netlink port of the socket it came from: compare with NftablesConnection.portId. */
  readonly byPortId: number;
  /** Name of the process, cut to 15 bytes by the kernel. */
  readonly byProcess: string;
}

/**
 * Collects the messages of NFNLGRP_NFTABLES into transactions: each ends with NEWGEN, which tells
 * who it was. One transaction can arrive in several parts.
 */
export class TransactionCollector {
  #tables = new Set<string>();
  /** What the last message began with, up to the table's name: nearly always the next one is of the same. */
  #last: Buffer | undefined;

  /** Gives the transactions that these messages complete. */
  add(messages: readonly NetlinkReply[]): TableEvent[] {
    const events: TableEvent[] = [];
    for (const message of messages) {
      if (message.type >> 8 !== NFNL_SUBSYS_NFTABLES) continue;
      if ((message.type & 0xff) === MSG.NEWGEN) {
        events.push({ tables: this.#tables, ...author(message) });
        this.reset();
      } else {
        this.#addTable(message.payload);
      }
    }
    return events;
  }

  /** Forgets a transaction whose other messages were lost. */
  reset(): void {
    this.#tables = new Set();
    this.#last = undefined;
  }

  /** In every message but NEWGEN the first attribute type is the table's name. */
  #addTable(payload: Buffer): void {
    if (this.#isOfLast(payload)) return;
    const family = decodeFamily(payload);
    if (family === undefined) return;
    for (const { type, value } of eachAttribute(payload, FAMILY_HEADER_BYTES)) {
      if (type !== TABLE.NAME) continue;
      this.#tables.add(tableText({ family, name: readString(value) }));
      this.#last = payload.subarray(0, value.byteOffset - payload.byteOffset + value.length);
      return;
    }
  }

  #isOfLast(payload: Buffer): boolean {
    const last = this.#last;
    if (last === undefined || payload.length < last.length) return false;
    return last.compare(payload, 0, last.length) === 0;
  }
}

/**
 * Calls back with every transaction committed in the namespace, our own included, and with
 * `overflow` when the kernel had to drop some: read the tables again then. `onMessage` sees each
 * single message. Keeps the process alive until closed.
 */
export function watchTables(
  netns: { readonly fd: number } | undefined,
  listener: (event: TableEvent | 'overflow') => void,
  onMessage: (message: NetlinkReply) => void = () => {},
): { close(): void } {
  const socket = NetlinkSocket.open(NETLINK_NETFILTER, {
    ...(netns === undefined ? {} : { netns }),
    receiveBufferBytes: RECEIVE_BUFFER_BYTES,
  });
  const collector = new TransactionCollector();
  socket.join(NFNLGRP_NFTABLES);
  const hear: EventListener = (messages) => {
    if (messages === 'overflow') {
      collector.reset();
      listener('overflow');
      return;
    }
    messages.forEach(onMessage);
    for (const event of collector.add(messages)) listener(event);
  };
  socket.subscribe(hear, { mostAtOnce: DATAGRAMS_AT_ONCE });
  return socket;
}

function author({ payload, portId }: NetlinkReply): Pick<TableEvent, 'byPortId' | 'byProcess'> {
  const name = readAttributes(payload, FAMILY_HEADER_BYTES).get(GEN.PROC_NAME);
  return { byPortId: portId, byProcess: name === undefined ? '' : readString(name) };
}
