/** RTM_*LINK messages (include/uapi/linux/if_link.h). */
import ifla from 'netlink/dist/rt/ifla.js';
import rt, { type LinkMessage } from 'netlink/dist/rt/structs.js';
import { type Mac, macFromBytes, macToBytes } from '../../net/mac.ts';
import { type BridgePort, type PortState, readBridgePort, readVlanFiltering } from './bridge.ts';
import { encodeWith } from './codec.ts';
import { IFLA_EXT_MASK, IFLA_GROUP, IFLA_IFNAME, linkMessage } from './link-attributes.ts';
import { readVxlan, type Vxlan } from './vxlan.ts';

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;

const RTEXT_FILTER_SKIP_STATS = 1 << 3;

/** RFC 2863 states in the order of enum IF_OPER_* (include/uapi/linux/if.h). */
const OPER_STATES = [
  'unknown',
  'notpresent',
  'down',
  'lowerlayerdown',
  'testing',
  'dormant',
  'up',
] as const;

export type OperState = (typeof OPER_STATES)[number];

export interface Link {
  readonly index: number;
  readonly name: string;
  /** Driver name (`bridge`, `veth`); undefined for hardware and loopback. */
  readonly kind: string | undefined;
  readonly mac: Mac | undefined;
  /** Bytes. */
  readonly mtu: number;
  readonly isUp: boolean;
  readonly operState: OperState;
  readonly isPromiscuous: boolean;
  /** Whether somebody has asked for packets of every multicast group; absent when nobody has. */
  readonly isAllMulticast?: boolean;
  /** Packets that wait on the way out. */
  readonly txQueueLength?: number;
  /** ifindex of the bridge (or other upper device) this is a port of. */
  readonly master: number | undefined;
  /** ifindex of the other end of a veth, in that end's namespace. */
  readonly peerIndex: number | undefined;
  readonly alias: string | undefined;
  /** Link group; absent is 0, where links start. */
  readonly group?: number;
  /** Spanning tree state; only ports of bridges have one. */
  readonly portState?: PortState;
  /** Flags of a port of a bridge. */
  readonly port?: Required<BridgePort>;
  /** Only bridges have it; `false` also where the kernel cannot filter VLANs. */
  readonly vlanFiltering?: boolean;
  /** Only VXLAN links have it. */
  readonly vxlan?: Vxlan;
}

export interface LinkChange {
  readonly isUp?: boolean;
  readonly mtu?: number;
  readonly mac?: Mac;
  readonly isPromiscuous?: boolean;
  readonly isAllMulticast?: boolean;
  /** Packets. */
  readonly txQueueLength?: number;
  /** ifindex of the new upper device; 0 releases the link. */
  readonly master?: number;
  /** Free text shown by `ip link`, at most 255 bytes. */
  readonly alias?: string;
  /** Link group: a number that one request can address all its links by. */
  readonly group?: number;
}

/** Reads the payload of an RTM_NEWLINK. */
export function decodeLink(payload: Buffer): Link {
  const { data, attrs } = rt.parseLinkMessage(payload);
  const info = attrs.linkinfo === undefined ? {} : ifla.parseInfo(attrs.linkinfo);
  const isEthernet = attrs.address?.length === 6;
  return {
    index: data.index ?? 0,
    name: attrs.ifname ?? '',
    kind: info.kind,
    mac: isEthernet && attrs.address !== undefined ? macFromBytes(attrs.address) : undefined,
    mtu: attrs.mtu ?? 0,
    isUp: data.flags?.up === true,
    operState: OPER_STATES[attrs.operstate ?? 0] ?? 'unknown',
    isPromiscuous: (attrs.promiscuity ?? 0) > 0,
    ...(data.flags?.allmulti === true ? { isAllMulticast: true } : {}),
    ...(attrs.txqlen === undefined ? {} : { txQueueLength: attrs.txqlen }),
    master: attrs.master,
    peerIndex: info.kind === 'veth' ? attrs.link?.readUInt32LE(0) : undefined,
    alias: attrs.ifalias,
    ...(attrs.group === undefined || attrs.group === 0 ? {} : { group: attrs.group }),
    ...readBridgeDetails(info),
    ...(info.kind === 'vxlan' && info.data !== undefined ? { vxlan: readVxlan(info.data) } : {}),
  };
}

export function encodeLinkByName(name: string): Buffer {
  return linkMessage({}).string(IFLA_IFNAME, name).finish();
}

export function encodeLinkByIndex(index: number): Buffer {
  return linkMessage({ index }).finish();
}

/** For an RTM_GETLINK dump; without counters, which are half of each reply. Needs kernel 4.4. */
export function encodeLinkFilter(): Buffer {
  return linkMessage({}).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS).finish();
}

/** For RTM_DELLINK: all links of a group, which must not be 0. */
export function encodeLinkGroup(group: number): Buffer {
  return linkMessage({}).u32(IFLA_GROUP, group).finish();
}

/** For RTM_NEWLINK without CREATE: changes only what `change` names. */
export function encodeLinkChange(index: number, change: LinkChange): Buffer {
  return encodeChange({ index }, change);
}

/** The same for a link known only by its name. */
export function encodeLinkChangeByName(name: string, change: LinkChange): Buffer {
  return encodeChange({ name }, change);
}

function encodeChange(
  link: { readonly index?: number; readonly name?: string },
  change: LinkChange,
): Buffer {
  const { isUp, isPromiscuous, isAllMulticast, mac, ...attrs } = change;
  const { alias, txQueueLength, ...plain } = attrs;
  const flags = { up: isUp, promisc: isPromiscuous, allmulti: isAllMulticast };
  const named = Object.entries(flags).filter(([, value]) => value !== undefined);
  return encodeLink({
    data: {
      ...(link.index === undefined ? {} : { index: link.index }),
      flags: Object.fromEntries(named.filter(([, value]) => value)),
      change: Object.fromEntries(named.map(([flag]) => [flag, true])),
    },
    attrs: {
      ...(link.name === undefined ? {} : { ifname: link.name }),
      ...plain,
      ...(mac === undefined ? {} : { address: Buffer.from(macToBytes(mac)) }),
      ...(alias === undefined ? {} : { ifalias: alias }),
      ...(txQueueLength === undefined ? {} : { txqlen: txQueueLength }),
    },
  });
}

function encodeLink(message: Omit<LinkMessage, 'kind'>): Buffer {
  return encodeWith(rt.formatLinkMessage, { kind: 'link', ...message });
}

function readBridgeDetails(info: ifla.Info): Pick<Link, 'portState' | 'port' | 'vlanFiltering'> {
  if (info.slaveKind === 'bridge' && info.slaveData !== undefined) {
    const { state, port } = readBridgePort(info.slaveData);
    return { portState: state, port };
  }
  if (info.kind !== 'bridge' || info.data === undefined) return {};
  const vlanFiltering = readVlanFiltering(info.data);
  return vlanFiltering === undefined ? {} : { vlanFiltering };
}
