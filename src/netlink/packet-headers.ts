import { type IP, type IPFamily, ipFromBytes } from '../net/ip.ts';

/** What the first bytes of a packet tell of it. */
export interface PacketHeaders {
  readonly family: IPFamily;
  readonly source: IP;
  readonly destination: IP;
  /** IP protocol number, behind the extension headers of IPv6. */
  readonly protocol: number;
  /** Of TCP, UDP and SCTP; absent in fragments behind the first, or where the copy ends before. */
  readonly ports?: { readonly source: number; readonly destination: number };
  /** Of ICMP and ICMPv6; absent as ports are. */
  readonly icmp?: { readonly type: number; readonly code: number };
  /** Of the packet that an ICMP error "unreachable" is about. */
  readonly quoted?: PacketHeaders;
}

type Carried = Pick<PacketHeaders, 'ports' | 'icmp' | 'quoted'>;

const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
const FRAGMENT_OFFSET = 0x1fff;
const PORT_PROTOCOLS = new Set([6, 17, 132]);
/** The type "destination unreachable" of ICMP and of ICMPv6. */
const UNREACHABLE: ReadonlyMap<number, number> = new Map([
  [1, 3],
  [58, 1],
]);
/** In front of what an ICMP error quotes (RFC 792, RFC 4443 §3.1). */
const ICMP_BYTES = 8;
/** Hop-by-hop options, routing, destination options: each tells its own length (RFC 8200 §4). */
const EXTENSIONS = new Set([0, 43, 60]);
const FRAGMENT = 44;
const AUTHENTICATION = 51;

/** Undefined without a whole IP header. */
export function readPacketHeaders(bytes: Buffer): PacketHeaders | undefined {
  const version = (bytes[0] ?? 0) >> 4;
  if (version === 4 && bytes.length >= IPV4_BYTES) return readIPv4(bytes);
  if (version === 6 && bytes.length >= IPV6_BYTES) return readIPv6(bytes);
  return undefined;
}

function readIPv4(bytes: Buffer): PacketHeaders {
  const protocol = bytes.readUInt8(9);
  const isFirst = (bytes.readUInt16BE(6) & FRAGMENT_OFFSET) === 0;
  const at = (bytes.readUInt8(0) & 0xf) * 4;
  return {
    family: 4,
    source: ipFromBytes(bytes.subarray(12, 16)),
    destination: ipFromBytes(bytes.subarray(16, 20)),
    protocol,
    ...(isFirst ? readCarried(protocol, bytes.subarray(at)) : {}),
  };
}

function readIPv6(bytes: Buffer): PacketHeaders {
  const { protocol, at, isFirst } = skipExtensions(bytes);
  return {
    family: 6,
    source: ipFromBytes(bytes.subarray(8, 24)),
    destination: ipFromBytes(bytes.subarray(24, 40)),
    protocol,
    ...(isFirst ? readCarried(protocol, bytes.subarray(at)) : {}),
  };
}

/** The protocol behind the extension headers, as far as they were copied. */
function skipExtensions(bytes: Buffer) {
  let protocol = bytes.readUInt8(6);
  let at = IPV6_BYTES;
  while (at + 8 <= bytes.length) {
    const length = bytes.readUInt8(at + 1);
    if (protocol === FRAGMENT) {
      // The offset is in the upper 13 bits.
      const isFirst = bytes.readUInt16BE(at + 2) >> 3 === 0;
      if (!isFirst) return { protocol: bytes.readUInt8(at), at: at + 8, isFirst };
    } else if (!EXTENSIONS.has(protocol) && protocol !== AUTHENTICATION) {
      break;
    }
    const next = bytes.readUInt8(at);
    at += extensionBytes(protocol, length);
    protocol = next;
  }
  return { protocol, at, isFirst: true };
}

/** An authentication header counts in words of four bytes (RFC 4302 §2.2), the others in eights. */
function extensionBytes(protocol: number, length: number): number {
  if (protocol === FRAGMENT) return 8;
  return protocol === AUTHENTICATION ? (length + 2) * 4 : (length + 1) * 8;
}

function readCarried(protocol: number, bytes: Buffer): Carried {
  if (PORT_PROTOCOLS.has(protocol) && bytes.length >= 4) {
    return { ports: { source: bytes.readUInt16BE(0), destination: bytes.readUInt16BE(2) } };
  }
  const unreachable = UNREACHABLE.get(protocol);
  if (unreachable !== undefined && bytes.length >= 2) {
    const icmp = { type: bytes.readUInt8(0), code: bytes.readUInt8(1) };
    if (icmp.type !== unreachable) return { icmp };
    // An error is never about an error (RFC 1122 §3.2.2), so one quote is all there is.
    const quoted = readPacketHeaders(bytes.subarray(ICMP_BYTES));
    return quoted === undefined ? { icmp } : { icmp, quoted };
  }
  return {};
}
