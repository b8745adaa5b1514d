/** Bridges and their ports (IFLA_BR_*, IFLA_BRPORT_*, include/uapi/linux/if_link.h). */

import { type Mac, macToBytes } from '../../net/mac.ts';
import { readAttributes } from '../attributes.ts';
import { AF_BRIDGE } from '../numbers.ts';
import {
  IFLA_ADDRESS,
  IFLA_IFNAME,
  IFLA_MTU,
  IFLA_PROTINFO,
  linkMessage,
  writeLinkInfo,
} from './link-attributes.ts';

/** struct ifinfomsg and its `ifi_index` (include/uapi/linux/rtnetlink.h). */
const IFINFOMSG_BYTES = 16;
const IFINFOMSG_INDEX_OFFSET = 4;

const IFLA_BR_VLAN_FILTERING = 7;
const IFLA_BR_NF_CALL_IPTABLES = 36;
const IFLA_BR_NF_CALL_IP6TABLES = 37;
const IFLA_BRPORT_STATE = 1;
const IFLA_BRPORT_MODE = 4;
const IFLA_BRPORT_ISOLATED = 33;

export interface BridgeChange {
  /** Ports see only the VLANs given to them. Needs CONFIG_BRIDGE_VLAN_FILTERING. */
  readonly vlanFiltering?: boolean;
  /** br_netfilter shows its packets to the rules of IP, whatever it does for other bridges. */
  readonly callsIPTables?: boolean;
  readonly callsIP6Tables?: boolean;
}

export interface BridgeSpec extends BridgeChange {
  readonly name: string;
  readonly mac: Mac;
  /** Bytes; undefined lets the kernel follow the smallest port. */
  readonly mtu?: number;
}

export interface BridgePort {
  /** Sends frames back out of the port they came from. */
  readonly hairpin?: boolean;
  /** Isolated ports reach only ports that are not. Needs kernel 4.18. */
  readonly isolated?: boolean;
}

/** Spanning tree states in the order of BR_STATE_* (include/uapi/linux/if_bridge.h). */
const PORT_STATES = ['disabled', 'listening', 'learning', 'forwarding', 'blocking'] as const;

/** Only a forwarding port passes frames. */
export type PortState = (typeof PORT_STATES)[number];

/** For RTM_NEWLINK with CREATE|EXCL: a bridge with a MAC of its own, so that it never changes. */
export function encodeBridge(spec: BridgeSpec): Buffer {
  const message = linkMessage({})
    .string(IFLA_IFNAME, spec.name)
    .bytes(IFLA_ADDRESS, macToBytes(spec.mac));
  if (spec.mtu !== undefined) message.u32(IFLA_MTU, spec.mtu);
  return writeBridgeInfo(message, spec).finish();
}

/** For RTM_NEWLINK without CREATE. */
export function encodeBridgeChange(index: number, change: BridgeChange): Buffer {
  return writeBridgeInfo(linkMessage({ index }), change).finish();
}

/** For RTM_SETLINK in the bridge family. */
export function encodeBridgePort(index: number, port: BridgePort): Buffer {
  return linkMessage({ family: AF_BRIDGE, index })
    .nested(IFLA_PROTINFO, (info) => {
      if (port.hairpin !== undefined) info.u8(IFLA_BRPORT_MODE, Number(port.hairpin));
      if (port.isolated !== undefined) info.u8(IFLA_BRPORT_ISOLATED, Number(port.isolated));
    })
    .finish();
}

/** Reads IFLA_INFO_DATA of a bridge. */
export function readVlanFiltering(data: Buffer): boolean | undefined {
  const value = readAttributes(data).get(IFLA_BR_VLAN_FILTERING)?.[0];
  return value === undefined ? undefined : value !== 0;
}

/** Reads an RTM_NEWLINK of the bridge family; undefined for one about the bridge itself. */
export function decodeBridgePort(
  payload: Buffer,
): { readonly index: number; readonly port: Required<BridgePort> } | undefined {
  const info = readAttributes(payload, IFINFOMSG_BYTES).get(IFLA_PROTINFO);
  if (info === undefined || info.length === 0) return undefined;
  return { index: payload.readInt32LE(IFINFOMSG_INDEX_OFFSET), port: readBridgePort(info).port };
}

/** Reads IFLA_INFO_SLAVE_DATA of a bridge port. */
export function readBridgePort(data: Buffer): {
  readonly state: PortState;
  readonly port: Required<BridgePort>;
} {
  const attributes = readAttributes(data);
  const flag = (type: number) => (attributes.get(type)?.[0] ?? 0) !== 0;
  return {
    state: PORT_STATES[attributes.get(IFLA_BRPORT_STATE)?.[0] ?? 0] ?? 'disabled',
    port: { hairpin: flag(IFLA_BRPORT_MODE), isolated: flag(IFLA_BRPORT_ISOLATED) },
  };
}

function writeBridgeInfo(message: ReturnType<typeof linkMessage>, change: BridgeChange) {
  const { vlanFiltering, callsIPTables, callsIP6Tables } = change;
  const flags = [
    [IFLA_BR_VLAN_FILTERING, vlanFiltering],
    [IFLA_BR_NF_CALL_IPTABLES, callsIPTables],
    [IFLA_BR_NF_CALL_IP6TABLES, callsIP6Tables],
  ] as const;
  const given = flags.filter(([, flag]) => flag !== undefined);
  if (given.length === 0) return writeLinkInfo(message, 'bridge');
  return writeLinkInfo(message, 'bridge', (data) => {
    for (const [type, flag] of given) data.u8(type, Number(flag));
  });
}
