import { AF_BRIDGE, NETLINK_ROUTE } from '../netlink/numbers.ts';
import { decodeAddress, RTM_DELADDR, RTM_NEWADDR } from '../netlink/rtnetlink/address.ts';
import { decodeBridgePort } from '../netlink/rtnetlink/bridge.ts';
import { decodeLink, RTM_DELLINK, RTM_NEWLINK } from '../netlink/rtnetlink/link.ts';
import { type NetlinkReply, NetlinkSocket } from '../netlink/socket.ts';
import type { BridgePort, Link, LinkAddress, Netns } from './types.ts';

/** Of `ifi_index` in struct ifinfomsg (include/uapi/linux/rtnetlink.h). */
const IFINFOMSG_INDEX_OFFSET = 4;

/** include/uapi/linux/rtnetlink.h */
const RTM_NEWNETCONF = 80;
const RTM_DELNETCONF = 81;

/** enum rtnetlink_groups (include/uapi/linux/rtnetlink.h). */
const GROUPS = {
  link: [1],
  address: [5, 9],
  forwarding: [24, 25],
} as const;

export type LinkTopic = keyof typeof GROUPS;

/** One change; `isGone` tells deletions from additions and changes. */
export type LinkEvent =
  | { readonly kind: 'link'; readonly isGone: boolean; readonly link: Link }
  | {
      readonly kind: 'address';
      readonly isGone: boolean;
      readonly address: LinkAddress & { readonly link: number };
    }
  /** A bridge tells of a port; of one that leaves it, the link's own event tells. */
  | {
      readonly kind: 'port';
      readonly isGone: false;
      readonly index: number;
      readonly port: Required<BridgePort>;
    }
  /** Forwarding, or another switch of that kind, was turned on or off somewhere. */
  | { readonly kind: 'forwarding'; readonly isGone: boolean };

/** What a port must be to pass frames of its pod: up, and not held back by spanning tree. */
export function isForwarding(link: Link): boolean {
  const isCarrying = link.isUp && link.operState === 'up';
  return isCarrying && (link.portState === undefined || link.portState === 'forwarding');
}

/**
 * Calls `listener` with what changes, in order, until closed; `overflow` means events were lost and
 * everything must be read again. Of several changes of a link that arrive together only the last one
 * is told, as it says all. A namespace that is deleted simply falls silent.
 */
export function watchLinks(
  netns: Netns | undefined,
  topics: readonly LinkTopic[],
  listener: (events: readonly LinkEvent[] | 'overflow') => void,
): { close(): void } {
  const socket = NetlinkSocket.open(NETLINK_ROUTE, {
    ...(netns === undefined ? {} : { netns }),
    receiveBufferBytes: 1 << 20,
  });
  for (const group of topics.flatMap((topic) => GROUPS[topic])) socket.join(group);
  socket.subscribe((messages) => {
    if (messages === 'overflow') return listener(messages);
    const events = lastOfEachLink(messages).flatMap((message) => decodeEvent(message) ?? []);
    if (events.length > 0) listener(events);
  });
  return socket;
}

/** A link that is made changes half a dozen times, and its messages are costly to decode. */
function lastOfEachLink(messages: readonly NetlinkReply[]): readonly NetlinkReply[] {
  const changed = new Set<number>();
  return messages
    .toReversed()
    .filter(({ type, payload }) => {
      if (type !== RTM_NEWLINK || payload[0] === AF_BRIDGE) return true;
      const index = payload.readInt32LE(IFINFOMSG_INDEX_OFFSET);
      return !changed.has(index) && changed.add(index);
    })
    .reverse();
}

function decodeEvent({ type, payload }: NetlinkReply): LinkEvent | undefined {
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return decodeLinkEvent(type, payload);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return { kind: 'address', isGone: type === RTM_DELADDR, address: decodeAddress(payload) };
    case RTM_NEWNETCONF:
    case RTM_DELNETCONF:
      return { kind: 'forwarding', isGone: type === RTM_DELNETCONF };
    default:
      return undefined;
  }
}

/**
 * Bridges tell of their ports in messages of their own family, with fewer attributes and others; a port
 * that leaves its bridge looks deleted there. The plain message of that follows, of changed flags it does not.
 */
function decodeLinkEvent(type: number, payload: Buffer): LinkEvent | undefined {
  if (payload[0] === AF_BRIDGE) {
    const port = type === RTM_NEWLINK ? decodeBridgePort(payload) : undefined;
    return port && { kind: 'port', isGone: false, ...port };
  }
  return { kind: 'link', isGone: type === RTM_DELLINK, link: decodeLink(payload) };
}
