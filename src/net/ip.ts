import {
  embeddedIPv4,
  formatIPv4,
  formatIPv6,
  isIPv4Mapped,
  readIPv4,
  readIPv6,
} from './ip-text.ts';

declare const brand: unique symbol;

export type IPFamily = 4 | 6;
/** Dotted quad without leading zeros, such as `10.1.2.3`. */
export type IPv4 = string & { readonly [brand]: 'IPv4' };
/** RFC 5952 text, such as `fd00:10::1`. */
export type IPv6 = string & { readonly [brand]: 'IPv6' };
/** An address in its one canonical text, so `===` compares addresses. Made only in this file. */
export type IP = IPv4 | IPv6;

/** Text or numbers that are no address, prefix or MAC. */
export class AddressError extends Error {
  readonly code = 'ADDRESS';

  constructor(message: string) {
    super(message);
    this.name = 'AddressError';
  }
}

/**
 * Parses what Go's net.ParseIP accepts; an IPv4-mapped IPv6 address becomes the IPv4 one.
 * Leading zeros, zones and spaces are rejected with AddressError.
 */
export function parseIP(text: string): IP {
  const ip = tryParseIP(text);
  if (ip === undefined) throw new AddressError(`parse IP ${JSON.stringify(text)}: not an address`);
  return ip;
}

/** parseIP that gives undefined instead of throwing. */
export function tryParseIP(text: string): IP | undefined {
  // The strict IPv4 grammar has one spelling per address, so valid text is canonical text.
  if (readIPv4(text, 0, false) >= 0) return text as IPv4;
  return parseIPv6Text(text, false);
}

/**
 * Parses as the Kubernetes API does for stored objects (netutils.ParseIPSloppy): leading zeros are
 * decimal, `172.30.0.041` is `172.30.0.41`.
 */
export function parseSloppyIP(text: string): IP | undefined {
  const value = readIPv4(text, 0, true);
  return value >= 0 ? ipv4FromNumber(value) : parseIPv6Text(text, true);
}

export function ipFamily(ip: IP): IPFamily {
  return isIPv4(ip) ? 4 : 6;
}

/** Network-order bytes: 4 or 16. */
export function ipToBytes(ip: IP): Uint8Array {
  if (isIPv4(ip)) {
    const value = ipv4ToNumber(ip);
    return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
  }
  const bytes = new Uint8Array(16);
  let at = 0;
  for (const group of ipv6Groups(ip)) {
    bytes[at++] = group >>> 8;
    bytes[at++] = group;
  }
  return bytes;
}

/** The address of 4 or 16 network-order bytes; the length alone decides the family. */
export function ipFromBytes(bytes: Uint8Array): IP {
  if (bytes.length === 4) {
    let value = 0;
    for (const byte of bytes) value = value * 256 + byte;
    return ipv4FromNumber(value);
  }
  if (bytes.length !== 16) {
    throw new AddressError(`read IP of ${bytes.length} bytes: must be 4 or 16`);
  }
  const groups = new Uint16Array(8);
  for (let index = 0; index < 8; index++) {
    groups[index] = ((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0);
  }
  return ipv6FromGroups(groups);
}

export function ipToBigInt(ip: IP): bigint {
  if (isIPv4(ip)) return BigInt(ipv4ToNumber(ip));
  let value = 0n;
  for (const group of ipv6Groups(ip)) value = (value << 16n) | BigInt(group);
  return value;
}

/** Throws AddressError when `value` does not fit the family. */
export function ipFromBigInt(family: IPFamily, value: bigint): IP {
  if (value < 0n || value >> BigInt(addressBits(family)) !== 0n) {
    throw new AddressError(`build IPv${family} address ${value}: out of range`);
  }
  if (family === 4) return ipv4FromNumber(Number(value));
  const groups = new Uint16Array(8);
  for (let index = 7, rest = value; index >= 0; index--, rest >>= 16n) {
    groups[index] = Number(rest & 0xffffn);
  }
  return ipv6FromGroups(groups);
}

/** Sort order: IPv4 before IPv6, then numeric. Negative, zero or positive. */
export function compareIP(a: IP, b: IP): number {
  if (a === b) return 0;
  if (isIPv4(a)) return isIPv4(b) ? ipv4ToNumber(a) - ipv4ToNumber(b) : -1;
  if (isIPv4(b)) return 1;
  const right = ipv6Groups(b);
  for (const [index, group] of ipv6Groups(a).entries()) {
    const difference = group - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** How many bits two addresses of one family begin with alike. */
export function commonBits(a: IP, b: IP): number {
  const [left, right] = [ipToBytes(a), ipToBytes(b)];
  const at = left.findIndex((byte, i) => byte !== right[i]);
  if (at < 0) return 8 * left.length;
  return 8 * at + Math.clz32((left[at] ?? 0) ^ (right[at] ?? 0)) - 24;
}

/** 127.0.0.0/8 or ::1. */
export function isLoopback(ip: IP): boolean {
  return isIPv4(ip) ? ip.startsWith('127.') : ip === '::1';
}

/** 0.0.0.0 or ::. */
export function isUnspecified(ip: IP): boolean {
  return ip === '0.0.0.0' || ip === '::';
}

/** 32 or 128. */
export function addressBits(family: IPFamily): 32 | 128 {
  return family === 4 ? 32 : 128;
}

export function isIPv4(ip: IP): ip is IPv4 {
  return !ip.includes(':');
}

/** The address as a number 0..2^32-1. */
export function ipv4ToNumber(ip: IPv4): number {
  return readIPv4(ip, 0, false);
}

/** The address of a number 0..2^32-1. */
export function ipv4FromNumber(value: number): IPv4 {
  // formatIPv4 writes the canonical text.
  return formatIPv4(value) as IPv4;
}

/** The address as eight 16-bit groups in network order. */
export function ipv6Groups(ip: IPv6): Uint16Array {
  const groups = readIPv6(ip, false);
  if (groups === undefined) throw new AddressError(`read IP ${ip}: not canonical`);
  return groups;
}

/** The address of eight 16-bit groups in network order. */
export function ipv6FromGroups(groups: Uint16Array): IPv6 {
  // formatIPv6 writes the canonical text.
  return formatIPv6(groups) as IPv6;
}

function parseIPv6Text(text: string, isSloppy: boolean): IP | undefined {
  const groups = readIPv6(text, isSloppy);
  if (groups === undefined) return undefined;
  return isIPv4Mapped(groups) ? ipv4FromNumber(embeddedIPv4(groups)) : ipv6FromGroups(groups);
}
