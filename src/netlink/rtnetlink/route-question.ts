/** RTM_GETROUTE of one packet: what the kernel's routing makes of it (net/ipv4/route.c, net/ipv6/route.c). */
import { type IP, ipFamily, ipToBytes } from '../../net/ip.ts';
import { AttributeWriter } from '../attributes.ts';
import { addressFamily } from '../numbers.ts';
import { decodeRoute, type Route } from './route.ts';

/** A packet that is about to be routed. */
export interface RouteQuestion {
  readonly destination: IP;
  readonly source?: IP;
  /** ifindex of the link it came in by; absent: a process of this node sends it. */
  readonly inLink?: number;
}

export type RouteAnswer =
  /** It leaves by a link. */
  | { readonly kind: 'sent'; readonly route: Route }
  /** It is for this node itself, or for all. */
  | { readonly kind: 'delivered' }
  /** It leaves by a link that was not decoded: several next hops. */
  | { readonly kind: 'unknown' }
  /** It is dropped: an errno name, as ENETUNREACH, EHOSTUNREACH, EACCES or EINVAL. */
  | { readonly kind: 'refused'; readonly code: string };

/** What the kernel answers when it drops such a packet. EXDEV is what rp_filter gives. */
export const ROUTE_REFUSALS: readonly string[] = [
  ...['ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL', 'EXDEV', 'ENETDOWN', 'ENODEV'],
];

const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_IIF = 3;
/** struct rtmsg */
const HEADER_BYTES = 12;
const RTN_UNICAST = 1;
const NEVER_SENT: readonly number[] = [2, 3, 4, 5];

export function encodeRouteQuestion({ destination, source, inLink }: RouteQuestion): Buffer {
  const bits = ipFamily(destination) === 4 ? 32 : 128;
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(addressFamily(ipFamily(destination)), 0);
  header.writeUInt8(bits, 1);
  header.writeUInt8(source === undefined ? 0 : bits, 2);
  const writer = new AttributeWriter().raw(header).bytes(RTA_DST, bytesOf(destination));
  if (source !== undefined) writer.bytes(RTA_SRC, bytesOf(source));
  if (inLink !== undefined) writer.u32(RTA_IIF, inLink);
  return writer.finish();
}

/** Reads the RTM_NEWROUTE that answers. */
export function decodeRouteAnswer(payload: Buffer): RouteAnswer {
  const type = payload.readUInt8(7);
  // Local, broadcast, anycast and multicast (rtnetlink.h): nothing that a link of the route is for.
  if (NEVER_SENT.includes(type)) return { kind: 'delivered' };
  if (type !== RTN_UNICAST) return { kind: 'refused', code: 'EHOSTUNREACH' };
  const route = decodeRoute(payload);
  return route === undefined ? { kind: 'unknown' } : { kind: 'sent', route };
}

function bytesOf(ip: IP): Buffer {
  return Buffer.from(ipToBytes(ip));
}
