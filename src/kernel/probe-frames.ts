/** One packet that begins a connection, as an Ethernet frame: a SYN, or a datagram. */
import { type IP, ipFamily, ipToBytes } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import { checksum, ethernet } from './frames.ts';

export interface FirstPacket {
  readonly source: IP;
  readonly destination: IP;
  readonly protocol: 'tcp' | 'udp';
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Of TCP. */
  readonly sequence: number;
  /** Of UDP. */
  readonly payload?: Buffer;
}

const ETHERTYPE = { 4: 0x0800, 6: 0x86dd } as const;
const PROTOCOL = { tcp: 6, udp: 17 } as const;
const TTL = 64;
const SYN = 2;
const WINDOW = 64_240;
const DONT_FRAGMENT = 0x4000;
const TCP_BYTES = 24;
const UDP_BYTES = 8;
/** Of IPv6, which every path passes (RFC 8200 section 5), without headers. */
const MSS = 1220;

/** The frame from one hardware address to the next hop's. */
export function firstFrame(packet: FirstPacket, from: Mac, nextHop: Mac): Buffer {
  const family = ipFamily(packet.source);
  const carried = packet.protocol === 'tcp' ? synOf(packet) : datagramOf(packet);
  const sumAt = packet.protocol === 'tcp' ? 16 : 6;
  // Zero says of UDP that there is no checksum (RFC 768).
  carried.writeUInt16BE(checksum([pseudoHeader(packet, carried.length), carried]) || 0xffff, sumAt);
  const header =
    family === 4 ? ipv4Header(packet, carried.length) : ipv6Header(packet, carried.length);
  return ethernet(nextHop, from, ETHERTYPE[family], Buffer.concat([header, carried]));
}

function synOf({ sourcePort, destinationPort, sequence }: FirstPacket): Buffer {
  const tcp = Buffer.alloc(TCP_BYTES);
  tcp.writeUInt16BE(sourcePort, 0);
  tcp.writeUInt16BE(destinationPort, 2);
  tcp.writeUInt32BE(sequence >>> 0, 4);
  tcp.writeUInt8((TCP_BYTES / 4) << 4, 12);
  tcp.writeUInt8(SYN, 13);
  tcp.writeUInt16BE(WINDOW, 14);
  // Option 2, maximum segment size, four bytes (RFC 9293 section 3.2).
  tcp.writeUInt16BE(0x0204, 20);
  tcp.writeUInt16BE(MSS, 22);
  return tcp;
}

function datagramOf({ sourcePort, destinationPort, payload }: FirstPacket): Buffer {
  const udp = Buffer.concat([Buffer.alloc(UDP_BYTES), payload ?? Buffer.alloc(0)]);
  udp.writeUInt16BE(sourcePort, 0);
  udp.writeUInt16BE(destinationPort, 2);
  udp.writeUInt16BE(udp.length, 4);
  return udp;
}

function ipv4Header({ source, destination, protocol }: FirstPacket, carried: number): Buffer {
  const ip = Buffer.alloc(20);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(ip.length + carried, 2);
  ip.writeUInt16BE(DONT_FRAGMENT, 6);
  ip.writeUInt8(TTL, 8);
  ip.writeUInt8(PROTOCOL[protocol], 9);
  ip.set(ipToBytes(source), 12);
  ip.set(ipToBytes(destination), 16);
  ip.writeUInt16BE(checksum([ip]), 10);
  return ip;
}

function ipv6Header({ source, destination, protocol }: FirstPacket, carried: number): Buffer {
  const ip = Buffer.alloc(40);
  ip.writeUInt8(6 << 4, 0);
  ip.writeUInt16BE(carried, 4);
  ip.writeUInt8(PROTOCOL[protocol], 6);
  ip.writeUInt8(TTL, 7);
  ip.set(ipToBytes(source), 8);
  ip.set(ipToBytes(destination), 24);
  return ip;
}

/** RFC 9293 section 3.1, RFC 8200 section 8.1: their sums are the same where lengths are below 64 KiB. */
function pseudoHeader({ source, destination, protocol }: FirstPacket, length: number): Buffer {
  const trailer = Buffer.alloc(4);
  trailer.writeUInt16BE(length, 0);
  trailer.writeUInt16BE(PROTOCOL[protocol], 2);
  return Buffer.concat([ipToBytes(source), ipToBytes(destination), trailer]);
}
