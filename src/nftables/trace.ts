/**
 * Traces: what the kernel reports of packets that met a `trace` statement, one event for every rule
 * that gave a verdict and for the end of every base chain (NFNLGRP_NFTRACE, nf_tables_trace.c).
 */

import { readAttributes, readString } from '../netlink/attributes.ts';
import { NETLINK_NETFILTER } from '../netlink/numbers.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { MSG, NFNL_SUBSYS_NFTABLES, NFNLGRP_NFTRACE, TRACE, VERDICT } from './constants.ts';
import { decodeFamily } from './decode.ts';
import type { TableFamily } from './model.ts';
import { readTracedPacket, type TracedPacket } from './traced-packet.ts';
import { formatVerdict } from './verdicts.ts';

const FAMILY_HEADER_BYTES = 4;
/** A flood of such packets has its turn, and so has everything else. */
const PACE = { mostAtOnce: 1_000 };
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
const KINDS = new Map<number, TraceEvent['kind']>([
  [1, 'policy'],
  [2, 'return'],
  [3, 'rule'],
]);

export interface TraceEvent {
  /** The same for everything that happens to one packet. */
  readonly id: number;
  readonly family: TableFamily;
  readonly table: string;
  readonly chain: string;
  /** A rule's verdict, the end of a jump, or the end of a base chain. */
  readonly kind: 'rule' | 'return' | 'policy';
  readonly ruleHandle: bigint | undefined;
  /** `accept`, `drop`, `jump <chain>`, ... */
  readonly verdict: string;
  /** As it is at this hook; the kernel tells with the first event of every base chain. */
  readonly packet: TracedPacket | undefined;
  /** ifindex */
  readonly inLink: number | undefined;
  readonly outLink: number | undefined;
}

/** Reads NFT_MSG_TRACE; undefined for what this library does not know. */
export function decodeTrace(payload: Buffer): TraceEvent | undefined {
  const family = decodeFamily(payload);
  const attributes = readAttributes(payload, FAMILY_HEADER_BYTES);
  const u32 = (type: number) => attributes.get(type)?.readUInt32BE(0);
  const [id, kind] = [u32(TRACE.ID), KINDS.get(u32(TRACE.TYPE) ?? 0)];
  if (family === undefined || id === undefined || kind === undefined) return undefined;
  const text = (type: number) => {
    const value = attributes.get(type);
    return value === undefined ? '' : readString(value);
  };
  return {
    id,
    family,
    table: text(TRACE.TABLE),
    chain: text(TRACE.CHAIN),
    kind,
    ruleHandle: attributes.get(TRACE.RULE_HANDLE)?.readBigUInt64BE(0),
    verdict: readVerdict(attributes),
    packet: readTracedPacket(
      attributes.get(TRACE.NETWORK_HEADER),
      attributes.get(TRACE.TRANSPORT_HEADER),
    ),
    inLink: u32(TRACE.IIF),
    outLink: u32(TRACE.OIF),
  };
}

/** Calls back with every event of the namespace, or `overflow` when some were lost, until closed. */
export function watchTraces(
  netns: { readonly fd: number } | undefined,
  listener: (event: TraceEvent | 'overflow') => void,
): { close(): void } {
  const socket = NetlinkSocket.open(NETLINK_NETFILTER, {
    ...(netns === undefined ? {} : { netns }),
    receiveBufferBytes: RECEIVE_BUFFER_BYTES,
  });
  socket.join(NFNLGRP_NFTRACE);
  socket.subscribe((messages) => {
    if (messages === 'overflow') {
      listener('overflow');
      return;
    }
    for (const { type, payload } of messages) {
      if (type !== ((NFNL_SUBSYS_NFTABLES << 8) | MSG.TRACE)) continue;
      const event = decodeTrace(payload);
      if (event !== undefined) listener(event);
    }
  }, PACE);
  return socket;
}

/** The end of a base chain carries its policy instead of a verdict. */
function readVerdict(attributes: ReadonlyMap<number, Buffer>): string {
  const policy = attributes.get(TRACE.POLICY);
  if (policy !== undefined) return formatVerdict(policy.readInt32BE(0), undefined);
  const nested = attributes.get(TRACE.VERDICT);
  if (nested === undefined) return '';
  const verdict = readAttributes(nested);
  const chain = verdict.get(VERDICT.CHAIN);
  const code = verdict.get(VERDICT.CODE)?.readInt32BE(0) ?? 0;
  return formatVerdict(code, chain === undefined ? undefined : readString(chain));
}
