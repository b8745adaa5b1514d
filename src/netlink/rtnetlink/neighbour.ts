/** RTM_*NEIGH messages (include/uapi/linux/neighbour.h). */

import rt from 'netlink/dist/rt/structs.js';
import { type IP, ipFamily, ipToBytes } from '../../net/ip.ts';
import { type Mac, macToBytes } from '../../net/mac.ts';
import { addressFamily } from '../numbers.ts';
import { encodeWith } from './codec.ts';

export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;

/**
 * For RTM_NEWNEIGH: `address` is at `mac`. State reachable, not permanent: the entry is right now,
 * and the kernel's own confirmation takes over from there.
 */
export function encodeNeighbour(link: number, address: IP, mac: Mac): Buffer {
  return encodeWith(rt.formatNeighborMessage, {
    kind: 'neighbor',
    data: {
      family: addressFamily(ipFamily(address)),
      ifindex: link,
      state: { reachable: true },
    },
    attrs: { dst: Buffer.from(ipToBytes(address)), lladdr: Buffer.from(macToBytes(mac)) },
  });
}

/** For RTM_DELNEIGH. */
export function encodeNeighbourKey(link: number, address: IP): Buffer {
  return encodeWith(rt.formatNeighborMessage, {
    kind: 'neighbor',
    data: { family: addressFamily(ipFamily(address)), ifindex: link },
    attrs: { dst: Buffer.from(ipToBytes(address)) },
  });
}
