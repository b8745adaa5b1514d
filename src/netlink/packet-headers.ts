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
}

type Carried = Pick<PacketHeaders, 'ports' | 'icmp'>;

const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
const FRAGMENT_OFFSET = 0x1fff;
const PORT_PROTOCOLS = new Set([6, 17, 132]);
const ICMP_PROTOCOLS = new Set([1, 58]);
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
  if (ICMP_PROTOCOLS.has(protocol) && bytes.length >= 2) {
    return { icmp: { type: bytes.readUInt8(0), code: bytes.readUInt8(1) } };
  }
  return {};
}
