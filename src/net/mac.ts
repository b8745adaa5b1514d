import { AddressError } from './ip.ts';

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
