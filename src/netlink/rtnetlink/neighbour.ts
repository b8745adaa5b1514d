/** RTM_*NEIGH messages (include/uapi/linux/neighbour.h). */

import rt from 'netlink/dist/rt/structs.js';
import { type IP, ipFamily, ipFromBytes, ipToBytes } from '../../net/ip.ts';
import { type Mac, macFromBytes, macToBytes } from '../../net/mac.ts';
import { AF_INET, AF_INET6, addressFamily } from '../numbers.ts';
import { encodeWith } from './codec.ts';

export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;

export interface Neighbour {
  /** ifindex of the link it is reached over. */
  readonly link: number;
  readonly address: IP;
  /** undefined while the kernel does not know it. */
  readonly mac: Mac | undefined;
}

/** Reads the payload of an RTM_NEWNEIGH; undefined for bridge forwarding entries. */
export function decodeNeighbour(payload: Buffer): Neighbour | undefined {
  const { data, attrs } = rt.parseNeighborMessage(payload);
  if ((data.family !== AF_INET && data.family !== AF_INET6) || attrs.dst === undefined) {
    return undefined;
  }
  return {
    link: data.ifindex ?? 0,
    address: ipFromBytes(attrs.dst),
    mac: attrs.lladdr?.length === 6 ? macFromBytes(attrs.lladdr) : undefined,
  };
}

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
