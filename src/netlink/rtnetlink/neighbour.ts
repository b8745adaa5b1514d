/** RTM_*NEIGH messages of IP families (include/uapi/linux/neighbour.h). */
import { type IP, ipFamily, ipFromBytes, ipToBytes } from '../../net/ip.ts';
import { type Mac, macFromBytes, macToBytes } from '../../net/mac.ts';
import { AttributeWriter, readAttributes } from '../attributes.ts';
import { AF_INET, AF_INET6, AF_UNSPEC, addressFamily } from '../numbers.ts';

export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;

export const NDA_DST = 1;
export const NDA_LLADDR = 2;
const NDA_IFINDEX = 8;
const NDA_PROTOCOL = 12;

const NUD_REACHABLE = 0x02;
const NUD_FAILED = 0x20;
export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;
const NTF_PROXY = 8;

/** struct ndmsg. */
export const NDMSG_BYTES = 12;

export interface Neighbour {
  /** ifindex of the link it is reached over. */
  readonly link: number;
  readonly address: IP;
  readonly mac: Mac;
  /** Set by somebody, and never confirmed or forgotten by the kernel. */
  readonly isPermanent: boolean;
}

/** An address of somebody else that a link answers for. */
export interface ProxyNeighbour {
  /** ifindex of the link that answers. */
  readonly link: number;
  readonly address: IP;
  /** Who made it, as with routes; 0 where nobody said. Needs kernel 5.0. */
  readonly protocol: number;
}

/** struct ndmsg, ready for attributes. */
export function neighbourMessage(header: {
  readonly family: number;
  readonly link: number;
  readonly state?: number;
  readonly flags?: number;
}): AttributeWriter {
  const bytes = Buffer.alloc(NDMSG_BYTES);
  bytes.writeUInt8(header.family, 0);
  bytes.writeInt32LE(header.link, 4);
  bytes.writeUInt16LE(header.state ?? 0, 8);
  bytes.writeUInt8(header.flags ?? 0, 10);
  return new AttributeWriter(64).raw(bytes);
}

/** The header of an RTM_*NEIGH. */
export function readNeighbourHeader(payload: Buffer) {
  return {
    family: payload.readUInt8(0),
    link: payload.readInt32LE(4),
    state: payload.readUInt16LE(8),
    flags: payload.readUInt8(10),
  };
}

/**
 * For RTM_NEWNEIGH. State reachable unless it is permanent: the entry is right now, and the kernel's
 * own confirmation takes over from there.
 */
export function encodeNeighbour({ link, address, mac, isPermanent }: Neighbour): Buffer {
  const state = isPermanent ? NUD_PERMANENT : NUD_REACHABLE;
  return neighbourMessage({ family: addressFamily(ipFamily(address)), link, state })
    .bytes(NDA_DST, ipToBytes(address))
    .bytes(NDA_LLADDR, macToBytes(mac))
    .finish();
}

/** For RTM_DELNEIGH. */
export function encodeNeighbourKey(link: number, address: IP): Buffer {
  return neighbourMessage({ family: addressFamily(ipFamily(address)), link })
    .bytes(NDA_DST, ipToBytes(address))
    .finish();
}

/** For RTM_NEWNEIGH and RTM_DELNEIGH. */
export function encodeProxyNeighbour({ link, address, protocol }: ProxyNeighbour): Buffer {
  const family = addressFamily(ipFamily(address));
  return neighbourMessage({ family, link, flags: NTF_PROXY })
    .bytes(NDA_DST, ipToBytes(address))
    .u8(NDA_PROTOCOL, protocol)
    .finish();
}

/** For an RTM_GETNEIGH dump of the proxies of all links, IPv6. */
export function encodeProxyFilter(): Buffer {
  return neighbourMessage({ family: AF_INET6, link: 0, flags: NTF_PROXY }).finish();
}

/** Reads the payload of an RTM_NEWNEIGH; undefined for all but proxies. */
export function decodeProxyNeighbour(payload: Buffer): ProxyNeighbour | undefined {
  const { link, flags } = readNeighbourHeader(payload);
  if ((flags & NTF_PROXY) === 0) return undefined;
  const attributes = readAttributes(payload, NDMSG_BYTES);
  const address = attributes.get(NDA_DST);
  if (address === undefined) return undefined;
  return { link, address: ipFromBytes(address), protocol: attributes.get(NDA_PROTOCOL)?.[0] ?? 0 };
}

/** For an RTM_GETNEIGH dump of one link, both families. */
export function encodeNeighbourFilter(link: number): Buffer {
  return neighbourMessage({ family: AF_UNSPEC, link: 0 }).u32(NDA_IFINDEX, link).finish();
}

/**
 * Reads the payload of an RTM_NEWNEIGH; undefined for those whose MAC is not known, or which the
 * kernel computes itself (multicast, NUD_NOARP), and for entries of bridges.
 */
export function decodeNeighbour(payload: Buffer): Neighbour | undefined {
  const { link, state } = readNeighbourHeader(payload);
  const address = decodeNeighbourAddress(payload);
  if (address === undefined || (state & (NUD_FAILED | NUD_NOARP)) !== 0) return undefined;
  const mac = readAttributes(payload, NDMSG_BYTES).get(NDA_LLADDR);
  if (mac?.length !== 6) return undefined;
  return { link, address, mac: macFromBytes(mac), isPermanent: (state & NUD_PERMANENT) !== 0 };
}

/** The address an RTM_*NEIGH is about; undefined for entries of bridges and of proxies. */
export function decodeNeighbourAddress(payload: Buffer): IP | undefined {
  const { family, flags } = readNeighbourHeader(payload);
  if ((family !== AF_INET && family !== AF_INET6) || (flags & NTF_PROXY) !== 0) return undefined;
  const address = readAttributes(payload, NDMSG_BYTES).get(NDA_DST);
  return address === undefined ? undefined : ipFromBytes(address);
}
