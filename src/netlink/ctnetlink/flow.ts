/** Connection tracking entries (include/uapi/linux/netfilter/nfnetlink_conntrack.h). */

import { type IP, type IPFamily, ipFromBytes } from '../../net/ip.ts';
import { eachAttribute, readAttributes } from '../attributes.ts';
import { AF_INET6 } from '../numbers.ts';
import {
  CTA_ID,
  CTA_IP_V4_DST,
  CTA_IP_V4_SRC,
  CTA_IP_V6_DST,
  CTA_IP_V6_SRC,
  CTA_MARK,
  CTA_PROTO_DST_PORT,
  CTA_PROTO_NUM,
  CTA_PROTO_SRC_PORT,
  CTA_STATUS,
  CTA_TUPLE_IP,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_PROTO,
  CTA_TUPLE_REPLY,
  CTA_ZONE,
  NFGENMSG_BYTES,
} from './constants.ts';

/** One direction of a flow, as its packets look; ports are absent for protocols without them. */
export interface Tuple {
  readonly source: IP;
  readonly destination: IP;
  readonly sourcePort: number | undefined;
  readonly destinationPort: number | undefined;
}

export interface Flow {
  readonly family: IPFamily;
  /** IP protocol number: 6 TCP, 17 UDP, 132 SCTP. */
  readonly protocol: number;
  /** The packets of the side that began. */
  readonly original: Tuple;
  /** The answers; where an address differs from `original` reversed, it is translated. */
  readonly reply: Tuple;
  /** IPS_* bits (nf_conntrack_common.h): 1 << 1 seen reply, 1 << 2 assured, 1 << 5 DNAT. */
  readonly status: number;
  readonly mark: number;
  readonly key: FlowKey;
}

/** What names one flow and no later one: the parts of a delete request, as the kernel gave them. */
export interface FlowKey {
  readonly family: IPFamily;
  /** CTA_TUPLE_ORIG. */
  readonly tuple: Buffer;
  readonly id: Buffer | undefined;
  readonly zone: Buffer | undefined;
}

/** Reads the payload of an IPCTNL_MSG_CT_NEW; undefined when it has no complete tuples. */
export function decodeFlow(payload: Buffer): Flow | undefined {
  const attributes = readAttributes(payload, NFGENMSG_BYTES);
  const tuple = attributes.get(CTA_TUPLE_ORIG);
  const original = tuple && decodeTuple(tuple);
  const replyTuple = attributes.get(CTA_TUPLE_REPLY);
  const reply = replyTuple && decodeTuple(replyTuple);
  if (tuple === undefined || original === undefined || reply === undefined) return undefined;
  const family = payload[0] === AF_INET6 ? 6 : 4;
  return {
    family,
    protocol: original.protocol,
    original: original.tuple,
    reply: reply.tuple,
    status: attributes.get(CTA_STATUS)?.readUInt32BE(0) ?? 0,
    mark: attributes.get(CTA_MARK)?.readUInt32BE(0) ?? 0,
    key: { family, tuple, id: attributes.get(CTA_ID), zone: attributes.get(CTA_ZONE) },
  };
}

interface TupleParts {
  source?: IP;
  destination?: IP;
  sourcePort?: number;
  destinationPort?: number;
  protocol?: number;
}

function decodeTuple(
  encoded: Buffer,
): { readonly protocol: number; readonly tuple: Tuple } | undefined {
  const parts: TupleParts = {};
  for (const { type, value } of eachAttribute(encoded)) {
    if (type === CTA_TUPLE_IP) readAddresses(value, parts);
    else if (type === CTA_TUPLE_PROTO) readProtocol(value, parts);
  }
  const { source, destination, protocol, sourcePort, destinationPort } = parts;
  if (source === undefined || destination === undefined || protocol === undefined) return undefined;
  return { protocol, tuple: { source, destination, sourcePort, destinationPort } };
}

function readAddresses(encoded: Buffer, parts: TupleParts): void {
  for (const { type, value } of eachAttribute(encoded)) {
    if (type === CTA_IP_V4_SRC || type === CTA_IP_V6_SRC) parts.source = ipFromBytes(value);
    if (type === CTA_IP_V4_DST || type === CTA_IP_V6_DST) parts.destination = ipFromBytes(value);
  }
}

function readProtocol(encoded: Buffer, parts: TupleParts): void {
  for (const { type, value } of eachAttribute(encoded)) {
    if (type === CTA_PROTO_NUM) parts.protocol = value.readUInt8(0);
    else if (type === CTA_PROTO_SRC_PORT) parts.sourcePort = value.readUInt16BE(0);
    else if (type === CTA_PROTO_DST_PORT) parts.destinationPort = value.readUInt16BE(0);
  }
}
