/** Links that are made by name and kind: veth pairs, ifb and dummy (include/uapi/linux/veth.h). */
import { type Mac, macToBytes } from '../../net/mac.ts';
import type { AttributeWriter } from '../attributes.ts';
import {
  IFLA_ADDRESS,
  IFLA_GROUP,
  IFLA_IFNAME,
  IFLA_MASTER,
  IFLA_MTU,
  IFLA_NET_NS_FD,
  linkMessage,
  writeLinkInfo,
} from './link-attributes.ts';

const VETH_INFO_PEER = 1;

export interface VethSpec {
  /** The end that stays in the namespace the socket is in; it is raised at once. */
  readonly host: {
    readonly name: string;
    readonly mac: Mac;
    /** Free text shown by `ip link`, at most 255 bytes; set right after creation. */
    readonly alias?: string;
  };
  /** The end that is created inside `netns`; the kernel can only create it down (ENOTCONN). */
  readonly pod: {
    readonly name: string;
    readonly mac: Mac;
    readonly netns: { readonly fd: number };
  };
  /** Bytes; undefined leaves the kernel's default. */
  readonly mtu?: number;
  /** ifindex of the bridge the host end becomes a port of. */
  readonly master?: number;
  /** Link group of the host end; 0 when absent. */
  readonly group?: number;
}

export interface IfbSpec {
  readonly name: string;
  readonly mac?: Mac;
  /** Bytes. */
  readonly mtu: number;
}

/**
 * For RTM_NEWLINK with CREATE|EXCL: both ends placed, named and addressed by one message. Explicit
 * MACs keep udev's MACAddressPolicy away from them.
 */
export function encodeVeth(spec: VethSpec): Buffer {
  const { host, pod, mtu, master, group } = spec;
  const message = linkMessage({ isUp: true });
  writeIdentity(message, host, mtu);
  if (master !== undefined) message.u32(IFLA_MASTER, master);
  if (group !== undefined) message.u32(IFLA_GROUP, group);
  return writeLinkInfo(message, 'veth', (data) =>
    data.nested(VETH_INFO_PEER, (peer) => {
      peer.raw(linkMessage({}).finish());
      writeIdentity(peer, pod, mtu);
      peer.u32(IFLA_NET_NS_FD, pod.netns.fd);
    }),
  ).finish();
}

/** For RTM_NEWLINK with CREATE|EXCL: an intermediate functional block, raised. */
export function encodeIfb(spec: IfbSpec): Buffer {
  const message = linkMessage({ isUp: true });
  writeIdentity(message, spec, spec.mtu);
  return writeLinkInfo(message, 'ifb').finish();
}

/** For RTM_NEWLINK with CREATE|EXCL: a link that only holds addresses, down. */
export function encodeDummy(name: string): Buffer {
  const message = linkMessage({});
  writeIdentity(message, { name }, undefined);
  return writeLinkInfo(message, 'dummy').finish();
}

function writeIdentity(
  message: AttributeWriter,
  end: { readonly name: string; readonly mac?: Mac },
  mtu: number | undefined,
): void {
  message.string(IFLA_IFNAME, end.name);
  if (end.mac !== undefined) message.bytes(IFLA_ADDRESS, macToBytes(end.mac));
  if (mtu !== undefined) message.u32(IFLA_MTU, mtu);
}
