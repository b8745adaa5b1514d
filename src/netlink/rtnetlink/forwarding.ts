/** Forwarding entries (FDB) of VXLAN links: RTM_*NEIGH messages of the bridge family. */
import { type IP, ipFromBytes, ipToBytes } from '../../net/ip.ts';
import { type Mac, macFromBytes, macToBytes } from '../../net/mac.ts';
import { type AttributeWriter, readAttributes } from '../attributes.ts';
import { AF_BRIDGE } from '../numbers.ts';
import {
  NDA_DST,
  NDA_LLADDR,
  NDMSG_BYTES,
  NUD_NOARP,
  NUD_PERMANENT,
  neighbourMessage,
  readNeighbourHeader,
} from './neighbour.ts';

const NDA_PORT = 6;
const NDA_VNI = 7;
const NDA_IFINDEX = 8;
const NTF_SELF = 2;

/** Frames to `mac` go to the host `remote`. Only multicast MACs and zero may have several remotes. */
export interface ForwardingEntry {
  /** ifindex of the VXLAN link. */
  readonly link: number;
  readonly mac: Mac;
  readonly remote: IP;
  /** Where it differs from the link's own: UDP port, network, outgoing link. */
  readonly port?: number;
  readonly vni?: number;
  readonly via?: number;
}

/**
 * For RTM_NEWNEIGH. With REPLACE the entry takes the place of the MAC's other remote, which only
 * unicast MACs allow (vxlan_fdb_update_existing).
 */
export function encodeForwardingEntry(entry: ForwardingEntry): Buffer {
  return writeEntry(entry, NUD_PERMANENT).finish();
}

/** For RTM_DELNEIGH: of several remotes only this one goes. */
export function encodeForwardingKey(entry: ForwardingEntry): Buffer {
  return writeEntry(entry, 0).finish();
}

/** For an RTM_GETNEIGH dump of one link. Kernels before 5.0 list more: read `link` of the replies. */
export function encodeForwardingFilter(link: number): Buffer {
  return neighbourMessage({ family: AF_BRIDGE, link }).finish();
}

/** Reads the payload of an RTM_*NEIGH; undefined for what ages, and for entries without a remote. */
export function decodeForwardingEntry(payload: Buffer): ForwardingEntry | undefined {
  const { family, link, state } = readNeighbourHeader(payload);
  if (family !== AF_BRIDGE || (state & (NUD_PERMANENT | NUD_NOARP)) === 0) return undefined;
  const attributes = readAttributes(payload, NDMSG_BYTES);
  const mac = attributes.get(NDA_LLADDR);
  const remote = attributes.get(NDA_DST);
  if (mac?.length !== 6 || remote === undefined) return undefined;
  const port = attributes.get(NDA_PORT)?.readUInt16BE(0);
  const vni = attributes.get(NDA_VNI)?.readUInt32LE(0);
  const via = attributes.get(NDA_IFINDEX)?.readUInt32LE(0);
  return {
    link,
    mac: macFromBytes(mac),
    remote: ipFromBytes(remote),
    ...(port === undefined ? {} : { port }),
    ...(vni === undefined ? {} : { vni }),
    ...(via === undefined ? {} : { via }),
  };
}

function writeEntry(entry: ForwardingEntry, state: number): AttributeWriter {
  const { link, mac, remote, port, vni, via } = entry;
  const message = neighbourMessage({ family: AF_BRIDGE, link, state, flags: NTF_SELF })
    .bytes(NDA_LLADDR, macToBytes(mac))
    .bytes(NDA_DST, ipToBytes(remote));
  if (port !== undefined) message.u16be(NDA_PORT, port);
  if (vni !== undefined) message.u32(NDA_VNI, vni);
  if (via !== undefined) message.u32(NDA_IFINDEX, via);
  return message;
}
