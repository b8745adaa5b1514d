import { NLM_F_REPLACE } from '../netlink/message.ts';
import { AF_BRIDGE, NETLINK_ROUTE } from '../netlink/numbers.ts';
import { decodeForwardingEntry } from '../netlink/rtnetlink/forwarding.ts';
import {
  decodeNeighbour,
  decodeNeighbourAddress,
  RTM_DELNEIGH,
  RTM_NEWNEIGH,
  readNeighbourHeader,
} from '../netlink/rtnetlink/neighbour.ts';
import {
  decodeRoute,
  decodeRouteKey,
  RT_TABLE_LOCAL,
  RTM_DELROUTE,
  RTM_NEWROUTE,
} from '../netlink/rtnetlink/route.ts';
import { type NetlinkReply, NetlinkSocket } from '../netlink/socket.ts';
import type { ForwardingEntry, Neighbour, Netns, Route } from './types.ts';

/** RTNLGRP_NEIGH, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE (include/uapi/linux/rtnetlink.h). */
const GROUPS = [3, 7, 11];
/** Of rtm_table in struct rtmsg. */
const RTMSG_TABLE_OFFSET = 4;
/** Some thousand events; the kernel takes the memory only while they wait. */
const RECEIVE_BUFFER_BYTES = 4 << 20;

/**
 * One change; `isGone` tells deletions from additions and changes. Of two routes of equal
 * destination, table and priority the later replaces the earlier, and only the later is told.
 */
export type RouteEvent =
  | {
      readonly kind: 'route';
      readonly isGone: boolean;
      /** Only the key where a route of another type (blackhole, multipath) took its place. */
      readonly route: Route;
    }
  | {
      readonly kind: 'neighbour';
      readonly isGone: boolean;
      /** Without its MAC, and never permanent, when it is gone. */
      readonly entry: Pick<Neighbour, 'link' | 'address'> & Partial<Neighbour>;
    }
  | { readonly kind: 'forwarding'; readonly isGone: boolean; readonly entry: ForwardingEntry };

/**
 * Calls `listener` with what changes, in order, until closed; `overflow` means events were lost and
 * everything must be read again.
 */
export function watchRoutes(
  netns: Netns | undefined,
  listener: (events: readonly RouteEvent[] | 'overflow') => void,
): { close(): void } {
  const socket = NetlinkSocket.open(NETLINK_ROUTE, {
    ...(netns === undefined ? {} : { netns }),
    receiveBufferBytes: RECEIVE_BUFFER_BYTES,
  });
  for (const group of GROUPS) socket.join(group);
  socket.subscribe((messages) => {
    if (messages === 'overflow') return listener(messages);
    const events = messages.flatMap((message) => decodeEvent(message) ?? []);
    if (events.length > 0) listener(events);
  });
  return socket;
}

function decodeEvent(message: NetlinkReply): RouteEvent | undefined {
  switch (message.type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return decodeRouteEvent(message);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      return decodeNeighbourEvent(message);
    default:
      return undefined;
  }
}

/** Table local follows the addresses, which are told as such. */
function decodeRouteEvent({ type, flags, payload }: NetlinkReply): RouteEvent | undefined {
  if (payload[RTMSG_TABLE_OFFSET] === RT_TABLE_LOCAL) return undefined;
  const isGone = type === RTM_DELROUTE;
  const route = decodeRoute(payload);
  if (route !== undefined) return { kind: 'route', isGone, route };
  const hasReplaced = !isGone && (flags & NLM_F_REPLACE) !== 0;
  return hasReplaced ? { kind: 'route', isGone: true, route: decodeRouteKey(payload) } : undefined;
}

/** Neighbours of pods come, are confirmed and age all the time: only permanent ones are told. */
function decodeNeighbourEvent({ type, payload }: NetlinkReply): RouteEvent | undefined {
  const isGone = type === RTM_DELNEIGH;
  const { family, link } = readNeighbourHeader(payload);
  if (family === AF_BRIDGE) {
    const entry = decodeForwardingEntry(payload);
    return entry && { kind: 'forwarding', isGone, entry };
  }
  if (isGone) {
    const address = decodeNeighbourAddress(payload);
    return address && { kind: 'neighbour', isGone, entry: { link, address } };
  }
  const entry = decodeNeighbour(payload);
  return entry?.isPermanent === true ? { kind: 'neighbour', isGone, entry } : undefined;
}
