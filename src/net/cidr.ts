import {
  AddressError,
  addressBits,
  type IP,
  type IPFamily,
  ipFamily,
  ipFromBigInt,
  ipToBigInt,
  ipv4FromNumber,
  ipv4ToNumber,
  ipv6FromGroups,
  ipv6Groups,
  isIPv4,
  parseSloppyIP,
  tryParseIP,
} from './ip.ts';

declare const brand: unique symbol;

/** A network: canonical address with host bits zero, slash, length, such as `10.0.0.0/8`. */
export type Cidr = string & { readonly [brand]: 'Cidr' };
/** An address and the length of its network, host bits kept, such as `10.1.2.3/24`. */
export type IPWithPrefix = string & { readonly [brand]: 'IPWithPrefix' };

/** Parses `address/length` and clears the host bits, as Go's net.ParseCIDR; throws AddressError. */
export function parseCidr(text: string): Cidr {
  const cidr = tryParseCidr(text);
  if (cidr === undefined) throw new AddressError(`parse CIDR ${JSON.stringify(text)}: not a CIDR`);
  return cidr;
}

/** parseCidr that gives undefined instead of throwing. */
export function tryParseCidr(text: string): Cidr | undefined {
  const parts = splitPrefix(text, false);
  return parts === undefined ? undefined : cidrOf(parts.ip, parts.length);
}

/** As netutils.ParseCIDRSloppy: leading zeros in octets and length are decimal. */
export function parseSloppyCidr(text: string): Cidr | undefined {
  const parts = splitPrefix(text, true);
  return parts === undefined ? undefined : cidrOf(parts.ip, parts.length);
}

/** The network of `ip` with that length; throws AddressError for a length outside the family. */
export function cidrOf(ip: IP, length: number): Cidr {
  checkLength(ip, length);
  // Canonical address, host bits cleared, checked length: exactly what the brand promises.
  return `${maskIP(ip, length)}/${length}` as Cidr;
}

/** The /32 or /128 of one address. */
export function hostCidr(ip: IP): Cidr {
  return cidrOf(ip, addressBits(ipFamily(ip)));
}

export function prefixLength(cidr: Cidr | IPWithPrefix): number {
  return Number(cidr.slice(cidr.indexOf('/') + 1));
}

export function cidrFamily(cidr: Cidr | IPWithPrefix): IPFamily {
  return ipFamily(addressPart(cidr));
}

/** The first address, all host bits zero. */
export function networkAddress(cidr: Cidr): IP {
  return addressPart(cidr);
}

/** The last address, all host bits one: the broadcast address of an IPv4 network. */
export function lastAddress(cidr: Cidr): IP {
  const first = networkAddress(cidr);
  return ipFromBigInt(ipFamily(first), ipToBigInt(first) + cidrSize(cidr) - 1n);
}

/** False when the families differ: `0.0.0.0/0` holds no IPv6 address. */
export function containsIP(cidr: Cidr, ip: IP): boolean {
  const network = networkAddress(cidr);
  const length = prefixLength(cidr);
  if (isIPv4(network)) {
    if (!isIPv4(ip)) return false;
    // A shift by 32 would be a shift by 0.
    return length === 0 || (ipv4ToNumber(ip) ^ ipv4ToNumber(network)) >>> (32 - length) === 0;
  }
  return !isIPv4(ip) && sharesPrefix(ipv6Groups(network), ipv6Groups(ip), length);
}

/** True when every address of `inner` is in `outer`. */
export function containsCidr(outer: Cidr, inner: Cidr): boolean {
  return prefixLength(outer) <= prefixLength(inner) && containsIP(outer, networkAddress(inner));
}

/** The n-th address counted from the network address (0); undefined outside the network. */
export function nthAddress(cidr: Cidr, n: bigint | number): IP | undefined {
  const offset = BigInt(n);
  if (offset < 0n || offset >= cidrSize(cidr)) return undefined;
  const first = networkAddress(cidr);
  return ipFromBigInt(ipFamily(first), ipToBigInt(first) + offset);
}

/** Number of addresses, network and broadcast included. */
export function cidrSize(cidr: Cidr): bigint {
  return 1n << BigInt(addressBits(cidrFamily(cidr)) - prefixLength(cidr));
}

/** Parses `address/length`, host bits kept; throws AddressError. */
export function parseIPWithPrefix(text: string): IPWithPrefix {
  const parts = splitPrefix(text, false);
  if (parts === undefined) {
    throw new AddressError(`parse IP with prefix ${JSON.stringify(text)}: not address/length`);
  }
  return ipWithPrefix(parts.ip, parts.length);
}

/** Throws AddressError for a length outside the family. */
export function ipWithPrefix(ip: IP, length: number): IPWithPrefix {
  checkLength(ip, length);
  // Canonical address and checked length: exactly what the brand promises.
  return `${ip}/${length}` as IPWithPrefix;
}

export function addressOf(address: IPWithPrefix): IP {
  return addressPart(address);
}

/** The network the address is in. */
export function networkOf(address: IPWithPrefix): Cidr {
  return cidrOf(addressPart(address), prefixLength(address));
}

function addressPart(cidr: Cidr | IPWithPrefix): IP {
  // Both brands are built from a canonical address and a slash.
  return cidr.slice(0, cidr.indexOf('/')) as IP;
}

function checkLength(ip: IP, length: number): void {
  if (!Number.isInteger(length) || length < 0 || length > addressBits(ipFamily(ip))) {
    throw new AddressError(`build CIDR of ${ip}: prefix length ${length} is out of range`);
  }
}

function maskIP(ip: IP, length: number): IP {
  if (length === addressBits(ipFamily(ip))) return ip;
  if (isIPv4(ip)) {
    const mask = length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
    return ipv4FromNumber((ipv4ToNumber(ip) & mask) >>> 0);
  }
  const groups = ipv6Groups(ip);
  const whole = length >> 4;
  groups[whole] = (groups[whole] ?? 0) & (0xffff << (16 - (length & 15)));
  groups.fill(0, whole + 1);
  return ipv6FromGroups(groups);
}

function sharesPrefix(a: Uint16Array, b: Uint16Array, length: number): boolean {
  for (let index = 0, bits = length; bits > 0; index++, bits -= 16) {
    const difference = (a[index] ?? 0) ^ (b[index] ?? 0);
    if (difference >>> Math.max(0, 16 - bits) !== 0) return false;
  }
  return true;
}

function splitPrefix(text: string, isSloppy: boolean): { ip: IP; length: number } | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const address = text.slice(0, slash);
  const ip = isSloppy ? parseSloppyIP(address) : tryParseIP(address);
  let length = parseLength(text.slice(slash + 1), isSloppy);
  if (ip === undefined || length === undefined) return undefined;
  if (isIPv4(ip) && address.includes(':')) {
    // An IPv4-mapped address (RFC 4291 2.5.5.2) counts its length from the 128 bits.
    if (length > 128) return undefined;
    length -= 96;
  }
  const isValid = length >= 0 && length <= addressBits(ipFamily(ip));
  return isValid ? { ip, length } : undefined;
}

function parseLength(text: string, isSloppy: boolean): number | undefined {
  const isDecimal = isSloppy ? /^[0-9]{1,9}$/.test(text) : /^(0|[1-9][0-9]{0,2})$/.test(text);
  return isDecimal ? Number(text) : undefined;
}
