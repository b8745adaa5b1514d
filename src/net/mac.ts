import { AddressError, type IP, ipFromBytes } from './ip.ts';

declare const brand: unique symbol;

/** A 48-bit Ethernet address, lower case with colons: `aa:bb:cc:dd:ee:ff`. */
export type Mac = string & { readonly [brand]: 'Mac' };

const COLONS = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;
const DASHES = /^[0-9a-f]{2}(-[0-9a-f]{2}){5}$/i;

/** Accepts colons or dashes and either case; throws AddressError. */
export function parseMac(text: string): Mac {
  if (!COLONS.test(text) && !DASHES.test(text)) {
    throw new AddressError(`parse MAC ${JSON.stringify(text)}: not six octets`);
  }
  // Six hexadecimal octets, lower case, colons: exactly what the brand promises.
  return text.toLowerCase().replaceAll('-', ':') as Mac;
}

/** Six bytes, first on the wire first. */
export function macToBytes(mac: Mac): Uint8Array {
  return Uint8Array.from(mac.split(':'), (octet) => Number.parseInt(octet, 16));
}

/** Throws AddressError unless there are six bytes. */
export function macFromBytes(bytes: Uint8Array): Mac {
  if (bytes.length !== 6) throw new AddressError(`read MAC of ${bytes.length} bytes: must be 6`);
  const octets = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'));
  // Six hexadecimal octets, lower case, colons: exactly what the brand promises.
  return octets.join(':') as Mac;
}

/**
 * A locally administered unicast address (IEEE 802: bit 1 of the first octet set, bit 0 clear)
 * from the first six bytes of `entropy`.
 */
export function localMac(entropy: Uint8Array): Mac {
  const bytes = entropy.slice(0, 6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return macFromBytes(bytes);
}

/** The IPv6 address that a link gives itself by its hardware address (RFC 4291, appendix A). */
export function linkLocalOf(mac: Mac): IP {
  const [first = 0, ...rest] = macToBytes(mac);
  const bytes = new Uint8Array(16);
  bytes.set([0xfe, 0x80]);
  bytes.set([first ^ 0x02, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)], 8);
  return ipFromBytes(bytes);
}
