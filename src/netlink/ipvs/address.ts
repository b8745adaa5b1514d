/** Addresses as IPVS has them: always the 16 bytes of union nf_inet_addr, with a family beside. */

import { type IP, ipFromBytes, ipToBytes } from '../../net/ip.ts';
import { AF_INET, AF_INET6 } from '../numbers.ts';

const UNION_BYTES = 16;
const IPV4_BYTES = 4;

export function encodeAddress(ip: IP): Uint8Array {
  const bytes = new Uint8Array(UNION_BYTES);
  bytes.set(ipToBytes(ip));
  return bytes;
}

/** Undefined when the family is none of IP or bytes are missing. */
export function decodeAddress(value: Buffer, family: number): IP | undefined {
  if (family === AF_INET && value.length >= IPV4_BYTES) {
    return ipFromBytes(value.subarray(0, IPV4_BYTES));
  }
  if (family === AF_INET6 && value.length >= UNION_BYTES) {
    return ipFromBytes(value.subarray(0, UNION_BYTES));
  }
  return undefined;
}
