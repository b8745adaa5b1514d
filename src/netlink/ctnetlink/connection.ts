/**
 * What connection tracking tells of a flow that begins, is there, or has ended
 * (net/netfilter/nf_conntrack_netlink.c). Read in place: there may be thousands a second.
 */
import { ipFromBytes } from '../../net/ip.ts';
import { align4 } from '../attributes.ts';
import { AF_INET6 } from '../numbers.ts';
import {
  CTA_COUNTERS_BYTES,
  CTA_COUNTERS_ORIG,
  CTA_COUNTERS_PACKETS,
  CTA_COUNTERS_REPLY,
  CTA_IP_V4_DST,
  CTA_IP_V4_SRC,
  CTA_IP_V6_DST,
  CTA_IP_V6_SRC,
  CTA_MARK,
  CTA_PROTO_DST_PORT,
  CTA_PROTO_NUM,
  CTA_PROTO_SRC_PORT,
  CTA_PROTOINFO,
  CTA_PROTOINFO_TCP,
  CTA_PROTOINFO_TCP_STATE,
  CTA_STATUS,
  CTA_TIMESTAMP,
  CTA_TIMESTAMP_START,
  CTA_TIMESTAMP_STOP,
  CTA_TUPLE_IP,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_PROTO,
  CTA_TUPLE_REPLY,
  NFGENMSG_BYTES,
} from './constants.ts';
import type { Flow, Tuple } from './flow.ts';

/** One direction of a connection, beyond 2^53 inexactly. */
export interface Counters {
  readonly packets: number;
  readonly bytes: number;
}

export interface Connection {
  readonly flow: Omit<Flow, 'key'>;
  /** Absent without nf_conntrack_acct when it began, and in the event of its beginning. */
  readonly sent: Counters | undefined;
  readonly received: Counters | undefined;
  /** Milliseconds since the epoch; absent without nf_conntrack_timestamp when it began. */
  readonly startedAtMs: number | undefined;
  readonly endedAtMs: number | undefined;
  /** TCP_CONNTRACK_* (nf_conntrack_tcp.h); of an ended one from Linux 5.8 on. */
  readonly tcpState: number | undefined;
}

const HEADER_BYTES = 4;
const NLA_TYPE_MASK = 0x3fff;
const U32 = 2 ** 32;
const NS_PER_MS = 1_000_000;

interface Draft {
  protocol: number | undefined;
  original: Partial<Mutable<Tuple>> | undefined;
  reply: Partial<Mutable<Tuple>> | undefined;
  status: number;
  mark: number;
  sent: Mutable<Counters> | undefined;
  received: Mutable<Counters> | undefined;
  startedAtMs: number | undefined;
  endedAtMs: number | undefined;
  tcpState: number | undefined;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Reads the payload of an IPCTNL_MSG_CT_NEW or IPCTNL_MSG_CT_DELETE; undefined without whole tuples. */
export function decodeConnection(payload: Buffer): Connection | undefined {
  const draft: Draft = {
    ...{ protocol: undefined, original: undefined, reply: undefined, status: 0, mark: 0 },
    ...{ sent: undefined, received: undefined, startedAtMs: undefined, endedAtMs: undefined },
    tcpState: undefined,
  };
  walk(payload, NFGENMSG_BYTES, payload.length, draft, readAttribute);
  const { protocol, status, mark, sent, received, startedAtMs, endedAtMs, tcpState } = draft;
  const original = wholeTuple(draft.original);
  const reply = wholeTuple(draft.reply);
  if (protocol === undefined || original === undefined || reply === undefined) return undefined;
  const family = payload[0] === AF_INET6 ? 6 : 4;
  const flow = { family, protocol, original, reply, status, mark } as const;
  return { flow, sent, received, startedAtMs, endedAtMs, tcpState };
}

/** Attributes from `at` to `end`: `visit` gets where the value of each begins and ends. */
function walk<T>(
  buffer: Buffer,
  from: number,
  end: number,
  target: T,
  visit: (target: T, buffer: Buffer, type: number, at: number, end: number) => void,
): void {
  let at = from;
  while (at + HEADER_BYTES <= end) {
    const length = buffer.readUInt16LE(at);
    if (length < HEADER_BYTES || at + length > end) return;
    visit(
      target,
      buffer,
      buffer.readUInt16LE(at + 2) & NLA_TYPE_MASK,
      at + HEADER_BYTES,
      at + length,
    );
    at += align4(length);
  }
}

function readAttribute(draft: Draft, buffer: Buffer, type: number, at: number, end: number): void {
  switch (type) {
    case CTA_TUPLE_ORIG:
      draft.original = {};
      walk(buffer, at, end, draft.original, readTuple);
      walk(buffer, at, end, draft, readProtocol);
      break;
    case CTA_TUPLE_REPLY:
      draft.reply = {};
      walk(buffer, at, end, draft.reply, readTuple);
      break;
    case CTA_STATUS:
      draft.status = readU32(buffer, at, end);
      break;
    case CTA_MARK:
      draft.mark = readU32(buffer, at, end);
      break;
    case CTA_COUNTERS_ORIG:
      draft.sent = { packets: 0, bytes: 0 };
      walk(buffer, at, end, draft.sent, readCounter);
      break;
    case CTA_COUNTERS_REPLY:
      draft.received = { packets: 0, bytes: 0 };
      walk(buffer, at, end, draft.received, readCounter);
      break;
    case CTA_TIMESTAMP:
      walk(buffer, at, end, draft, readTime);
      break;
    case CTA_PROTOINFO:
      walk(buffer, at, end, draft, readProtocolInfo);
  }
}

function readTuple(
  tuple: Partial<Mutable<Tuple>>,
  buffer: Buffer,
  type: number,
  at: number,
  end: number,
): void {
  if (type === CTA_TUPLE_IP) walk(buffer, at, end, tuple, readAddress);
  else if (type === CTA_TUPLE_PROTO) walk(buffer, at, end, tuple, readPort);
}

function readAddress(
  tuple: Partial<Mutable<Tuple>>,
  buffer: Buffer,
  type: number,
  at: number,
  end: number,
): void {
  if (type === CTA_IP_V4_SRC || type === CTA_IP_V6_SRC) {
    tuple.source = ipFromBytes(buffer.subarray(at, end));
  } else if (type === CTA_IP_V4_DST || type === CTA_IP_V6_DST) {
    tuple.destination = ipFromBytes(buffer.subarray(at, end));
  }
}

function readPort(
  tuple: Partial<Mutable<Tuple>>,
  buffer: Buffer,
  type: number,
  at: number,
  end: number,
): void {
  if (end - at < 2) return;
  if (type === CTA_PROTO_SRC_PORT) tuple.sourcePort = buffer.readUInt16BE(at);
  else if (type === CTA_PROTO_DST_PORT) tuple.destinationPort = buffer.readUInt16BE(at);
}

function readProtocol(draft: Draft, buffer: Buffer, type: number, at: number, end: number): void {
  if (type === CTA_TUPLE_PROTO) walk(buffer, at, end, draft, readProtocolNumber);
}

function readProtocolNumber(draft: Draft, buffer: Buffer, type: number, at: number): void {
  if (type === CTA_PROTO_NUM) draft.protocol = buffer[at];
}

function readCounter(
  counters: Mutable<Counters>,
  buffer: Buffer,
  type: number,
  at: number,
  end: number,
): void {
  if (type === CTA_COUNTERS_PACKETS) counters.packets = readU64(buffer, at, end);
  else if (type === CTA_COUNTERS_BYTES) counters.bytes = readU64(buffer, at, end);
}

function readTime(draft: Draft, buffer: Buffer, type: number, at: number, end: number): void {
  const ms = Math.floor(readU64(buffer, at, end) / NS_PER_MS);
  if (type === CTA_TIMESTAMP_START) draft.startedAtMs = ms;
  else if (type === CTA_TIMESTAMP_STOP) draft.endedAtMs = ms;
}

function readProtocolInfo(
  draft: Draft,
  buffer: Buffer,
  type: number,
  at: number,
  end: number,
): void {
  if (type === CTA_PROTOINFO_TCP) walk(buffer, at, end, draft, readTcpInfo);
}

function readTcpInfo(draft: Draft, buffer: Buffer, type: number, at: number): void {
  if (type === CTA_PROTOINFO_TCP_STATE) draft.tcpState = buffer[at];
}

function wholeTuple(tuple: Partial<Tuple> | undefined): Tuple | undefined {
  if (tuple?.source === undefined || tuple.destination === undefined) return undefined;
  const { source, destination, sourcePort, destinationPort } = tuple;
  return { source, destination, sourcePort, destinationPort };
}

function readU32(buffer: Buffer, at: number, end: number): number {
  return end - at < 4 ? 0 : buffer.readUInt32BE(at);
}

function readU64(buffer: Buffer, at: number, end: number): number {
  return end - at < 8 ? 0 : buffer.readUInt32BE(at) * U32 + buffer.readUInt32BE(at + 4);
}
