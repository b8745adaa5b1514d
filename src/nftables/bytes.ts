/**
 * Register bytes: the content of nf_tables registers, keys and map data as latin1 strings with one
 * character per byte. Every field is padded to a multiple of four bytes, so a concatenation is `+`:
 *
 *     ipBytes(vip) + protocolBytes('tcp') + portBytes(443) + u32Bytes(slot)
 *
 * Ports and addresses are in network order, u32Bytes in host order. Every machine that the agent is
 * built for (x64, arm64) is little-endian.
 */
import { type Cidr, cidrFamily, networkAddress, prefixLength } from '../net/cidr.ts';
import { type IP, ipFromBytes, ipv4ToNumber, ipv6Groups, isIPv4 } from '../net/ip.ts';
import { type Mac, macToBytes } from '../net/mac.ts';

const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const;
const IFNAME_BYTES = 16;

/** An address: 4 or 16 bytes. */
export function ipBytes(ip: IP): string {
  if (isIPv4(ip)) return numberBytes(ipv4ToNumber(ip));
  let bytes = '';
  for (const group of ipv6Groups(ip)) bytes += String.fromCharCode(group >>> 8, group & 0xff);
  return bytes;
}

/** 0 to 2^32 - 1 in network order: four bytes. */
export function numberBytes(value: number): string {
  return String.fromCharCode(
    value >>> 24,
    (value >>> 16) & 0xff,
    (value >>> 8) & 0xff,
    value & 0xff,
  );
}

/** A hardware address: six bytes and two of padding. */
export function macBytes(mac: Mac): string {
  return String.fromCharCode(...macToBytes(mac), 0, 0);
}

/** A port: two bytes and two of padding. */
export function portBytes(port: number): string {
  return String.fromCharCode(port >>> 8, port & 0xff, 0, 0);
}

/** What is behind an Ethernet header (IEEE 802): two bytes in network order and two of padding. */
export function etherTypeBytes(type: number): string {
  return String.fromCharCode(type >>> 8, type & 0xff, 0, 0);
}

/** An IP protocol number: one byte and three of padding. */
export function protocolBytes(protocol: 'tcp' | 'udp' | 'sctp'): string {
  return String.fromCharCode(PROTOCOLS[protocol], 0, 0, 0);
}

/** A number in host order: slots, marks, connection states, address types. */
export function u32Bytes(value: number): string {
  return String.fromCharCode(
    value & 0xff,
    (value >>> 8) & 0xff,
    (value >>> 16) & 0xff,
    (value >>> 24) & 0xff,
  );
}

/** One byte and three of padding, for `meta nfproto`. */
export function u8Bytes(value: number): string {
  return String.fromCharCode(value, 0, 0, 0);
}

/** An interface name, NUL-padded to 16 bytes. Names longer than 15 bytes do not exist. */
export function ifnameBytes(name: string): string {
  const bytes = Buffer.from(name, 'utf8').toString('latin1');
  if (bytes.length >= IFNAME_BYTES) throw new RangeError(`interface name ${name}: too long`);
  return bytes.padEnd(IFNAME_BYTES, '\0');
}

/** The netmask of a network as bytes: `255.255.0.0` for a /16. */
export function maskBytes(cidr: Cidr): string {
  const length = prefixLength(cidr);
  let mask = '';
  for (let bit = 0; bit < (cidrFamily(cidr) === 4 ? 32 : 128); bit += 8) {
    const ones = Math.min(8, Math.max(0, length - bit));
    mask += String.fromCharCode((0xff00 >>> ones) & 0xff);
  }
  return mask;
}

/** The network address of a network as bytes. */
export function networkBytes(cidr: Cidr): string {
  return ipBytes(networkAddress(cidr));
}

/** Of the last address of a network. */
export function lastBytes(cidr: Cidr): string {
  const first = networkBytes(cidr);
  const length = prefixLength(cidr);
  let last = first.slice(0, length >>> 3);
  if (length % 8 !== 0) {
    last += String.fromCharCode(first.charCodeAt(length >>> 3) | (0xff >>> (length % 8)));
  }
  return last.padEnd(first.length, '\xff');
}

/** Reads what ipBytes wrote, `offset` bytes into the string. */
export function readIPBytes(bytes: string, offset: number, family: 4 | 6): IP {
  const length = family === 4 ? 4 : 16;
  if (bytes.length < offset + length) throw new RangeError('address bytes: too short');
  const raw = new Uint8Array(length);
  for (let i = 0; i < length; i++) raw[i] = bytes.charCodeAt(offset + i);
  return ipFromBytes(raw);
}

/** Reads what portBytes wrote. */
export function readPortBytes(bytes: string, offset: number): number {
  return bytes.charCodeAt(offset) * 256 + bytes.charCodeAt(offset + 1);
}

/** Reads what u32Bytes wrote. */
export function readU32Bytes(bytes: string, offset: number): number {
  return (
    (bytes.charCodeAt(offset) |
      (bytes.charCodeAt(offset + 1) << 8) |
      (bytes.charCodeAt(offset + 2) << 16) |
      (bytes.charCodeAt(offset + 3) << 24)) >>>
    0
  );
}

/** The key right after `key` in network order; undefined after the last one. */
export function nextKey(key: string): string | undefined {
  for (let i = key.length - 1; i >= 0; i--) {
    const byte = key.charCodeAt(i);
    if (byte === 0xff) continue;
    return key.slice(0, i) + String.fromCharCode(byte + 1) + '\0'.repeat(key.length - i - 1);
  }
  return undefined;
}

/** The key right before `key` in network order; undefined before the first one. */
export function previousKey(key: string): string | undefined {
  for (let i = key.length - 1; i >= 0; i--) {
    const byte = key.charCodeAt(i);
    if (byte === 0) continue;
    return key.slice(0, i) + String.fromCharCode(byte - 1) + '\xff'.repeat(key.length - i - 1);
  }
  return undefined;
}
