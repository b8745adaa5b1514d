/** VLANs of bridge ports (struct bridge_vlan_info, include/uapi/linux/if_bridge.h). */

import { eachAttribute, readAttributes } from '../attributes.ts';
import { AF_BRIDGE } from '../numbers.ts';
import { IFLA_AF_SPEC, IFLA_EXT_MASK, linkMessage } from './link-attributes.ts';

const IFLA_BRIDGE_FLAGS = 0;
const IFLA_BRIDGE_VLAN_INFO = 2;
const BRIDGE_FLAGS_SELF = 2;
const RTEXT_FILTER_BRVLAN_COMPRESSED = 1 << 2;
/** struct ifinfomsg. */
const HEADER_BYTES = 16;
const INFO_BYTES = 4;

/** BRIDGE_VLAN_INFO_*. */
const FLAG = { pvid: 1 << 1, untagged: 1 << 2, rangeBegin: 1 << 3, rangeEnd: 1 << 4 } as const;

export interface PortVlan {
  /** 1 to 4094. */
  readonly vid: number;
  /** Frames without a tag belong to this VLAN when they come in. */
  readonly isPvid: boolean;
  /** Frames of this VLAN leave without a tag. */
  readonly isUntagged: boolean;
}

/** VLANs `vid` to `lastVid`; the kernel takes a PVID only alone. */
export interface PortVlanRange {
  readonly vid: number;
  /** Inclusive; `vid` when absent. */
  readonly lastVid?: number;
  readonly isPvid?: boolean;
  readonly isUntagged?: boolean;
}

export interface PortVlanOptions {
  /** The link is the bridge itself, whose own traffic the VLANs are for. */
  readonly isSelf?: boolean;
}

/** For RTM_SETLINK (adds) and RTM_DELLINK (deletes) in the bridge family. */
export function encodePortVlans(
  index: number,
  vlans: readonly PortVlanRange[],
  options: PortVlanOptions = {},
): Buffer {
  return linkMessage({ family: AF_BRIDGE, index })
    .nested(IFLA_AF_SPEC, (spec) => {
      if (options.isSelf === true) spec.u16(IFLA_BRIDGE_FLAGS, BRIDGE_FLAGS_SELF);
      for (const range of vlans) {
        for (const info of encodeRange(range)) spec.bytes(IFLA_BRIDGE_VLAN_INFO, info);
      }
    })
    .finish();
}

/** For an RTM_GETLINK dump of all ports and bridges with their VLANs, consecutive ones as ranges. */
export function encodePortVlanFilter(): Buffer {
  return linkMessage({ family: AF_BRIDGE })
    .u32(IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN_COMPRESSED)
    .finish();
}

/** Reads one reply of that dump; ranges come apart into their VLANs. */
export function decodePortVlans(payload: Buffer): {
  readonly link: number;
  readonly vlans: readonly PortVlan[];
} {
  const spec = readAttributes(payload, HEADER_BYTES).get(IFLA_AF_SPEC) ?? Buffer.alloc(0);
  const vlans: PortVlan[] = [];
  let first: number | undefined;
  for (const { type, value } of eachAttribute(spec)) {
    if (type !== IFLA_BRIDGE_VLAN_INFO || value.length < INFO_BYTES) continue;
    const flags = value.readUInt16LE(0);
    const vid = value.readUInt16LE(2);
    if ((flags & FLAG.rangeBegin) !== 0) {
      first = vid;
      continue;
    }
    const isPvid = (flags & FLAG.pvid) !== 0;
    const isUntagged = (flags & FLAG.untagged) !== 0;
    for (let at = first ?? vid; at <= vid; at++) vlans.push({ vid: at, isPvid, isUntagged });
    first = undefined;
  }
  return { link: payload.readInt32LE(4), vlans };
}

function encodeRange(range: PortVlanRange): readonly Buffer[] {
  const flags =
    (range.isPvid === true ? FLAG.pvid : 0) | (range.isUntagged === true ? FLAG.untagged : 0);
  const { vid, lastVid = vid } = range;
  if (vid === lastVid) return [encodeInfo(flags, vid)];
  return [encodeInfo(flags | FLAG.rangeBegin, vid), encodeInfo(flags | FLAG.rangeEnd, lastVid)];
}

function encodeInfo(flags: number, vid: number): Buffer {
  const info = Buffer.alloc(INFO_BYTES);
  info.writeUInt16LE(flags, 0);
  info.writeUInt16LE(vid, 2);
  return info;
}
