/** Requests to list and delete flows (net/netfilter/nf_conntrack_netlink.c). */

import { type IP, type IPFamily, ipFamily, ipToBytes } from '../../net/ip.ts';
import { AttributeWriter } from '../attributes.ts';
import { AF_INET, AF_INET6 } from '../numbers.ts';
import {
  CTA_FILTER,
  CTA_FILTER_ORIG_FLAGS,
  CTA_FILTER_REPLY_FLAGS,
  CTA_ID,
  CTA_IP_V4_DST,
  CTA_IP_V4_SRC,
  CTA_IP_V6_DST,
  CTA_IP_V6_SRC,
  CTA_MARK,
  CTA_MARK_MASK,
  CTA_PROTO_DST_PORT,
  CTA_PROTO_NUM,
  CTA_PROTO_SRC_PORT,
  CTA_STATUS,
  CTA_STATUS_MASK,
  CTA_TUPLE_IP,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_PROTO,
  CTA_TUPLE_REPLY,
  CTA_ZONE,
  FILTER_FIELD,
} from './constants.ts';
import type { Flow, FlowKey, Tuple } from './flow.ts';

/** Fields one direction must have; what is absent may be anything. */
export type TupleFilter = { readonly [Field in keyof Tuple]?: NonNullable<Tuple[Field]> };

/** Every field present must match. With `protocol` the kernel compares ports too. */
export interface FlowFilter {
  readonly family: IPFamily;
  readonly protocol?: number;
  readonly original?: TupleFilter;
  readonly reply?: TupleFilter;
  /** `mark & mask == value`. */
  readonly mark?: { readonly value: number; readonly mask: number };
  /** The same of its IPS_* bits, compared by kernels from 5.17 on. */
  readonly status?: { readonly value: number; readonly mask: number };
}

/** A packet of a protocol with ports. */
export interface PortTuple {
  /** IP protocol number. */
  readonly protocol: number;
  readonly source: IP;
  readonly destination: IP;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** For a CT_GET of one flow: the kernel finds it by the packets of either side. */
export function encodePortTuple(packet: PortTuple): Buffer {
  const { source, destination, protocol } = packet;
  const family = ipFamily(source);
  const message = header(family);
  const [from, to] = family === 4 ? [CTA_IP_V4_SRC, CTA_IP_V4_DST] : [CTA_IP_V6_SRC, CTA_IP_V6_DST];
  return message
    .nested(CTA_TUPLE_ORIG, (tuple) => {
      tuple.nested(CTA_TUPLE_IP, (ip) =>
        ip.bytes(from, ipToBytes(source)).bytes(to, ipToBytes(destination)),
      );
      tuple.nested(CTA_TUPLE_PROTO, (proto) =>
        proto
          .u8(CTA_PROTO_NUM, protocol)
          .u16be(CTA_PROTO_SRC_PORT, packet.sourcePort)
          .u16be(CTA_PROTO_DST_PORT, packet.destinationPort),
      );
    })
    .finish();
}

/**
 * For a CT_GET dump. Kernels before 5.8 do not know CTA_FILTER and give every flow of the family,
 * so `matchesFlow` has the last word.
 */
export function encodeFlowFilter(filter: FlowFilter): Buffer {
  const message = header(filter.family);
  const { mark, status, protocol } = filter;
  const original = comparable(filter, filter.original);
  const reply = comparable(filter, filter.reply);
  if (mark !== undefined) message.u32be(CTA_MARK, mark.value).u32be(CTA_MARK_MASK, mark.mask);
  if (status !== undefined) {
    message.u32be(CTA_STATUS, status.value).u32be(CTA_STATUS_MASK, status.mask);
  }
  const originalFields = fieldsOf(original, protocol);
  const replyFields = Object.keys(reply).length === 0 ? 0 : fieldsOf(reply, protocol);
  if (originalFields !== 0) writeTuple(message, CTA_TUPLE_ORIG, original, protocol);
  if (replyFields !== 0) writeTuple(message, CTA_TUPLE_REPLY, reply, protocol);
  if ((originalFields | replyFields) !== 0) {
    message.nested(CTA_FILTER, (fields) => {
      fields.u32(CTA_FILTER_ORIG_FLAGS, originalFields);
      fields.u32(CTA_FILTER_REPLY_FLAGS, replyFields);
    });
  }
  return message.finish();
}

/** Whether a flow is what the filter asks for. */
export function matchesFlow(filter: FlowFilter, flow: Omit<Flow, 'key'>): boolean {
  const { family, protocol, original, reply, mark, status } = filter;
  return (
    flow.family === family &&
    (protocol === undefined || flow.protocol === protocol) &&
    matchesTuple(original, flow.original) &&
    matchesTuple(reply, flow.reply) &&
    (mark === undefined || (flow.mark & mark.mask) >>> 0 === mark.value) &&
    (status === undefined || (flow.status & status.mask) >>> 0 === status.value)
  );
}

/** For CT_DELETE: that flow and no newer one with the same addresses and ports. */
export function encodeFlowKey(key: FlowKey): Buffer {
  const message = header(key.family);
  message.nested(CTA_TUPLE_ORIG, (tuple) => tuple.raw(key.tuple));
  if (key.id !== undefined) message.bytes(CTA_ID, key.id);
  if (key.zone !== undefined) message.bytes(CTA_ZONE, key.zone);
  return message.finish();
}

/** For a CT_NEW that changes that flow: the bits of the mask are cleared (ctnetlink_change_mark). */
export function encodeMarkClearing(key: FlowKey, mask: number): Buffer {
  const change = new AttributeWriter().u32be(CTA_MARK, 0).u32be(CTA_MARK_MASK, mask);
  return Buffer.concat([encodeFlowKey(key), change.finish()]);
}

function header(family: IPFamily): AttributeWriter {
  const version = 0;
  return new AttributeWriter().raw(Buffer.from([family === 4 ? AF_INET : AF_INET6, version, 0, 0]));
}

/**
 * What the kernel is asked to compare; the rest is left to `matchesFlow`. Without a protocol it
 * cannot tell what a port is. Its comparison of IPv6 addresses is upside down: it drops the equal
 * ones (ctnetlink_filter_match_tuple, seen in 6.18).
 */
function comparable(filter: FlowFilter, tuple: TupleFilter = {}): TupleFilter {
  const { source, destination, sourcePort, destinationPort } = tuple;
  return {
    ...(filter.family === 4 && source !== undefined ? { source } : {}),
    ...(filter.family === 4 && destination !== undefined ? { destination } : {}),
    ...(filter.protocol !== undefined && sourcePort !== undefined ? { sourcePort } : {}),
    ...(filter.protocol !== undefined && destinationPort !== undefined ? { destinationPort } : {}),
  };
}

function fieldsOf(tuple: TupleFilter, protocol: number | undefined): number {
  return (
    (tuple.source === undefined ? 0 : FILTER_FIELD.source) |
    (tuple.destination === undefined ? 0 : FILTER_FIELD.destination) |
    (protocol === undefined ? 0 : FILTER_FIELD.protocol) |
    (tuple.sourcePort === undefined ? 0 : FILTER_FIELD.sourcePort) |
    (tuple.destinationPort === undefined ? 0 : FILTER_FIELD.destinationPort)
  );
}

function writeTuple(
  message: AttributeWriter,
  type: number,
  tuple: TupleFilter,
  protocol: number | undefined,
): void {
  const { source, destination, sourcePort, destinationPort } = tuple;
  message.nested(type, (fields) => {
    if (source !== undefined || destination !== undefined) {
      fields.nested(CTA_TUPLE_IP, (ip) => {
        if (source !== undefined) ip.bytes(CTA_IP_V4_SRC, ipToBytes(source));
        if (destination !== undefined) ip.bytes(CTA_IP_V4_DST, ipToBytes(destination));
      });
    }
    if (protocol === undefined) return;
    fields.nested(CTA_TUPLE_PROTO, (proto) => {
      proto.u8(CTA_PROTO_NUM, protocol);
      if (sourcePort !== undefined) proto.u16be(CTA_PROTO_SRC_PORT, sourcePort);
      if (destinationPort !== undefined) proto.u16be(CTA_PROTO_DST_PORT, destinationPort);
    });
  });
}

function matchesTuple(filter: TupleFilter | undefined, tuple: Tuple): boolean {
  if (filter === undefined) return true;
  return (
    (filter.source === undefined || filter.source === tuple.source) &&
    (filter.destination === undefined || filter.destination === tuple.destination) &&
    (filter.sourcePort === undefined || filter.sourcePort === tuple.sourcePort) &&
    (filter.destinationPort === undefined || filter.destinationPort === tuple.destinationPort)
  );
}
