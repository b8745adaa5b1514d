/** RTM_*ROUTE messages (include/uapi/linux/rtnetlink.h). */

import rt from 'netlink/dist/rt/structs.js';
import { type Cidr, cidrFamily, cidrOf, networkAddress, prefixLength } from '../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily, ipFromBytes, ipToBytes } from '../../net/ip.ts';
import { AttributeWriter, readAttributes } from '../attributes.ts';
import { AF_INET, addressFamily } from '../numbers.ts';
import { encodeWith } from './codec.ts';

export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;

export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;
/** struct rtmsg */
const HEADER_BYTES = 12;
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;
const RTNH_F_ONLINK = 4;
const RTPROT_STATIC = 4;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RTAX_MTU = 2;
const RTAX_ADVMSS = 8;

export interface Route {
  readonly destination: Cidr;
  /** May be an IPv6 address for an IPv4 destination (RFC 5549). */
  readonly gateway?: IP;
  /** ifindex of the outgoing link. */
  readonly link?: number;
  /** 254 (main) when absent. */
  readonly table?: number;
  readonly priority?: number;
  /** rtnetlink scope number; when absent 0 with a gateway and 253 (link) without one. */
  readonly scope?: number;
  readonly mtu?: number;
  readonly advmss?: number;
  /** Preferred source address. */
  readonly source?: IP;
  /** The gateway is reached over `link` although no route covers it. */
  readonly isOnlink?: boolean;
  /** Who installed it (rtnetlink.h RTPROT_*); 4 (static) when absent. */
  readonly protocol?: number;
}

/** Reads the payload of an RTM_NEWROUTE; undefined for multipath and non-unicast routes. */
export function decodeRoute(payload: Buffer): Route | undefined {
  // By hand: the package's parser throws for gateways of the other family, which anybody may have set.
  const attributes = readAttributes(payload, HEADER_BYTES);
  if (payload.readUInt8(7) !== RTN_UNICAST || attributes.has(RTA_MULTIPATH)) return undefined;
  const number = (type: number) => attributes.get(type)?.readUInt32LE(0);
  const source = attributes.get(RTA_PREFSRC);
  const link = number(RTA_OIF);
  const priority = number(RTA_PRIORITY);
  return {
    destination: readDestination(payload, attributes),
    ...readGateway(attributes),
    ...(link === undefined ? {} : { link }),
    table: readTable(payload, attributes),
    ...(priority === undefined ? {} : { priority }),
    scope: payload.readUInt8(6),
    ...readMetrics(attributes.get(RTA_METRICS)),
    ...(source === undefined ? {} : { source: ipFromBytes(source) }),
    ...((payload.readUInt32LE(8) & RTNH_F_ONLINK) === 0 ? {} : { isOnlink: true }),
    protocol: payload.readUInt8(5),
  };
}

/** What an RTM_*ROUTE of any type is about. */
export function decodeRouteKey(payload: Buffer): {
  readonly destination: Cidr;
  readonly table: number;
  readonly priority?: number;
} {
  const attributes = readAttributes(payload, HEADER_BYTES);
  const priority = attributes.get(RTA_PRIORITY)?.readUInt32LE(0);
  return {
    destination: readDestination(payload, attributes),
    table: readTable(payload, attributes),
    ...(priority === undefined ? {} : { priority }),
  };
}

/** Reads the address of an RTM_NEWROUTE that leads to this node itself; undefined for others. */
export function decodeLocalRoute(payload: Buffer): IP | undefined {
  const type = payload.readUInt8(7);
  const destination = readAttributes(payload, HEADER_BYTES).get(RTA_DST);
  return type === RTN_LOCAL && destination !== undefined ? ipFromBytes(destination) : undefined;
}

/** For RTM_NEWROUTE and RTM_DELROUTE. */
export function encodeRoute(route: Route): Buffer {
  const hasGateway = route.gateway !== undefined;
  const payload = encodeWith(rt.formatRouteMessage, {
    kind: 'route',
    data: {
      family: addressFamily(cidrFamily(route.destination)),
      dstLen: prefixLength(route.destination),
      type: rt.RouteType.UNICAST,
      flags: route.isOnlink ? { __unknown: 4 } : {},
    },
    attrs: {
      dst: bytesOf(networkAddress(route.destination)),
      ...(route.gateway === undefined || isForeign(route)
        ? {}
        : { gateway: bytesOf(route.gateway) }),
      ...(route.link === undefined ? {} : { oif: route.link }),
      table: route.table ?? RT_TABLE_MAIN,
      ...(route.priority === undefined ? {} : { priority: route.priority }),
      ...(route.source === undefined ? {} : { prefsrc: bytesOf(route.source) }),
    },
  });
  // The package writes these two as names of an enum, which has no room for other numbers.
  payload.writeUInt8(route.protocol ?? RTPROT_STATIC, 5);
  payload.writeUInt8(route.scope ?? (hasGateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK), 6);
  return withMetrics(withForeignGateway(payload, route), route);
}

/** A route in the words of errors: `route 10.1.0.0/16 via 10.0.0.1 on link 3`. */
export function routeText(route: Route): string {
  const via = route.gateway === undefined ? '' : ` via ${route.gateway}`;
  const device = route.link === undefined ? '' : ` on link ${route.link}`;
  return `route ${route.destination}${via}${device}`;
}

/** For an RTM_GETROUTE dump of one table, filtered by the kernel (strict checking). */
export function encodeRouteFilter(family: IPFamily, table: number): Buffer {
  return new AttributeWriter()
    .raw(rt.formatRoute({ family: addressFamily(family) }))
    .u32(RTA_TABLE, table)
    .finish();
}

/** For an RTM_GETROUTE of the one route that leads to an address. */
export function encodeRouteLookup(address: IP): Buffer {
  const bytes = bytesOf(address);
  const family = bytes.length === 4 ? 4 : 6;
  return new AttributeWriter()
    .raw(rt.formatRoute({ family: addressFamily(family), dstLen: bytes.length * 8 }))
    .bytes(RTA_DST, bytes)
    .finish();
}

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_VIA = 18;

/** The gateway is of the other family, which only RTA_VIA can say. */
function isForeign({ destination, gateway }: Route): boolean {
  return gateway !== undefined && ipFamily(gateway) !== cidrFamily(destination);
}

/** struct rtvia: the family as a host-endian u16, then the address. */
function withForeignGateway(payload: Buffer, route: Route): Buffer {
  const { gateway } = route;
  if (gateway === undefined || !isForeign(route)) return payload;
  const via = Buffer.concat([Buffer.alloc(2), bytesOf(gateway)]);
  via.writeUInt16LE(addressFamily(ipFamily(gateway)), 0);
  return new AttributeWriter().raw(payload).bytes(RTA_VIA, via).finish();
}

function readDestination(payload: Buffer, attributes: ReadonlyMap<number, Buffer>): Cidr {
  const unspecified = Buffer.alloc(payload.readUInt8(0) === AF_INET ? 4 : 16);
  return cidrOf(ipFromBytes(attributes.get(RTA_DST) ?? unspecified), payload.readUInt8(1));
}

function readTable(payload: Buffer, attributes: ReadonlyMap<number, Buffer>): number {
  return attributes.get(RTA_TABLE)?.readUInt32LE(0) ?? payload.readUInt8(4);
}

function readGateway(attributes: ReadonlyMap<number, Buffer>): { gateway?: IP } {
  const bytes = attributes.get(RTA_GATEWAY) ?? attributes.get(RTA_VIA)?.subarray(2);
  return bytes === undefined ? {} : { gateway: ipFromBytes(bytes) };
}

function withMetrics(payload: Buffer, route: Route): Buffer {
  if (route.mtu === undefined && route.advmss === undefined) return payload;
  return new AttributeWriter()
    .raw(payload)
    .nested(RTA_METRICS, (metrics) => {
      if (route.mtu !== undefined) metrics.u32(RTAX_MTU, route.mtu);
      if (route.advmss !== undefined) metrics.u32(RTAX_ADVMSS, route.advmss);
    })
    .finish();
}

function readMetrics(encoded: Buffer | undefined): { mtu?: number; advmss?: number } {
  if (encoded === undefined) return {};
  const metrics = readAttributes(encoded);
  const mtu = metrics.get(RTAX_MTU)?.readUInt32LE(0);
  const advmss = metrics.get(RTAX_ADVMSS)?.readUInt32LE(0);
  return {
    ...(mtu === undefined ? {} : { mtu }),
    ...(advmss === undefined ? {} : { advmss }),
  };
}

function bytesOf(ip: IP): Buffer {
  return Buffer.from(ipToBytes(ip));
}
