/** VXLAN links (IFLA_VXLAN_*, include/uapi/linux/if_link.h). */
import { type IP, ipFamily, ipFromBytes, ipToBytes } from '../../net/ip.ts';
import { type Mac, macToBytes } from '../../net/mac.ts';
import { readAttributes } from '../attributes.ts';
import {
  IFLA_ADDRESS,
  IFLA_IFNAME,
  IFLA_MTU,
  linkMessage,
  writeLinkInfo,
} from './link-attributes.ts';

const IFLA_VXLAN_ID = 1;
const IFLA_VXLAN_LINK = 3;
const IFLA_VXLAN_LOCAL = 4;
const IFLA_VXLAN_LEARNING = 7;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_LOCAL6 = 17;

export interface VxlanSpec {
  readonly name: string;
  readonly mac: Mac;
  /** Bytes. */
  readonly mtu: number;
  /** 0 to 16777215. */
  readonly vni: number;
  /** Where encapsulated packets come from; its family is that of all remotes. */
  readonly local: IP;
  /** UDP port, ours and that of all remotes. */
  readonly port: number;
  /** Free text shown by `ip link`, at most 255 bytes; set right after creation. */
  readonly alias?: string;
}

/** What the kernel says of a VXLAN link; only its MAC, MTU and alias can change later. */
export interface Vxlan {
  readonly vni: number;
  readonly local: IP | undefined;
  readonly port: number;
  /** It makes forwarding entries of the packets it receives. */
  readonly isLearning: boolean;
  /** ifindex of the link it is bound to, and goes with. */
  readonly lower: number | undefined;
}

/**
 * For RTM_NEWLINK with CREATE|EXCL: raised, learns nothing, and is bound to no link, so that it
 * outlives its underlay. An explicit MAC keeps udev's MACAddressPolicy away.
 */
export function encodeVxlan(spec: VxlanSpec): Buffer {
  const message = linkMessage({ isUp: true })
    .string(IFLA_IFNAME, spec.name)
    .bytes(IFLA_ADDRESS, macToBytes(spec.mac))
    .u32(IFLA_MTU, spec.mtu);
  const localType = ipFamily(spec.local) === 4 ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6;
  return writeLinkInfo(message, 'vxlan', (data) =>
    data
      .u32(IFLA_VXLAN_ID, spec.vni)
      .bytes(localType, ipToBytes(spec.local))
      .u8(IFLA_VXLAN_LEARNING, 0)
      .u16be(IFLA_VXLAN_PORT, spec.port),
  ).finish();
}

/** Reads IFLA_INFO_DATA of a VXLAN link. */
export function readVxlan(data: Buffer): Vxlan {
  const attributes = readAttributes(data);
  const local = attributes.get(IFLA_VXLAN_LOCAL) ?? attributes.get(IFLA_VXLAN_LOCAL6);
  return {
    vni: attributes.get(IFLA_VXLAN_ID)?.readUInt32LE(0) ?? 0,
    local: local === undefined ? undefined : ipFromBytes(local),
    port: attributes.get(IFLA_VXLAN_PORT)?.readUInt16BE(0) ?? 0,
    isLearning: (attributes.get(IFLA_VXLAN_LEARNING)?.[0] ?? 0) !== 0,
    lower: attributes.get(IFLA_VXLAN_LINK)?.readUInt32LE(0),
  };
}
