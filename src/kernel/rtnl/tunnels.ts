import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../../netlink/message.ts';
import { type BatchRequest, requestAll } from '../../netlink/request-batch.ts';
import * as forwarding from '../../netlink/rtnetlink/forwarding.ts';
import * as links from '../../netlink/rtnetlink/link.ts';
import * as neighbourCodec from '../../netlink/rtnetlink/neighbour.ts';
import * as routes from '../../netlink/rtnetlink/route.ts';
import { encodeVxlan } from '../../netlink/rtnetlink/vxlan.ts';
import type { NetlinkError } from '../../netlink/socket.ts';
import { unlessErrno } from '../../util/errno.ts';
import { errorCode } from '../../util/errors.ts';
import { GONE } from '../netlink-errors.ts';
import type { EntryChange, ForwardingEntry, Neighbour, VxlanSpec } from '../types.ts';
import { nameLinks, type Requests } from './named-links.ts';

/** EEXIST says that the name or the network is taken, so who has the name is looked up. */
export function createVxlan(socket: Requests, spec: VxlanSpec): boolean {
  const { name, alias, vni, port } = spec;
  const what = `create vxlan ${name} (network ${vni}, port ${port})`;
  try {
    socket.request(links.RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, encodeVxlan(spec), what);
  } catch (thrown) {
    if (errorCode(thrown) !== 'EEXIST' || !isThere(socket, name)) throw thrown;
    return false;
  }
  if (alias !== undefined) {
    const change = links.encodeLinkChangeByName(name, { alias });
    socket.request(links.RTM_NEWLINK, 0, change, `set the alias of link ${name}`);
  }
  return true;
}

/** The neighbours of one link. */
export function neighbours(socket: Requests, link: number): readonly Neighbour[] {
  const payload = neighbourCodec.encodeNeighbourFilter(link);
  return socket
    .dump(neighbourCodec.RTM_GETNEIGH, payload, `list neighbours of link ${link}`)
    .flatMap((reply) => neighbourCodec.decodeNeighbour(reply.payload) ?? [])
    .filter((neighbour) => neighbour.link === link);
}

/** The forwarding entries of one VXLAN link. */
export function forwardingEntries(socket: Requests, link: number): readonly ForwardingEntry[] {
  const payload = forwarding.encodeForwardingFilter(link);
  const replies = unlessErrno(GONE, () =>
    socket.dump(neighbourCodec.RTM_GETNEIGH, payload, `list forwarding entries of link ${link}`),
  );
  return (replies ?? [])
    .flatMap((reply) => forwarding.decodeForwardingEntry(reply.payload) ?? [])
    .filter((entry) => entry.link === link);
}

/** Makes the changes in order and gives one outcome each. */
export function applyEntries(
  socket: Requests,
  changes: Iterable<EntryChange>,
): readonly (NetlinkError | undefined)[] {
  const isDelete: boolean[] = [];
  const outcomes = requestAll(socket, requestsOf(changes, isDelete)).map((error, i) =>
    error !== undefined && isDelete[i] === true && isGone(error) ? undefined : error,
  );
  nameLinks(
    socket,
    outcomes.flatMap((error) => error ?? []),
  );
  return outcomes;
}

/** Encodes as far as is asked for. */
function* requestsOf(
  changes: Iterable<EntryChange>,
  isDelete: boolean[],
): Generator<BatchRequest, void> {
  for (const change of changes) {
    isDelete.push(change.action === 'delete');
    yield change.action === 'put' ? putRequest(change) : deleteRequest(change);
  }
}

function putRequest(change: EntryChange): BatchRequest {
  const flags = NLM_F_CREATE | NLM_F_REPLACE;
  const what = `put ${entryText(change)}`;
  switch (change.kind) {
    case 'route':
      return { type: routes.RTM_NEWROUTE, flags, payload: routes.encodeRoute(change.entry), what };
    case 'neighbour': {
      const payload = neighbourCodec.encodeNeighbour(change.entry);
      return { type: neighbourCodec.RTM_NEWNEIGH, flags, payload, what };
    }
    case 'forwarding': {
      const payload = forwarding.encodeForwardingEntry(change.entry);
      return { type: neighbourCodec.RTM_NEWNEIGH, flags, payload, what };
    }
  }
}

function deleteRequest(change: EntryChange): BatchRequest {
  const what = `delete ${entryText(change)}`;
  switch (change.kind) {
    case 'route':
      return {
        ...{ type: routes.RTM_DELROUTE, flags: 0, what },
        payload: routes.encodeRoute(change.entry),
      };
    case 'neighbour': {
      const payload = neighbourCodec.encodeNeighbourKey(change.entry.link, change.entry.address);
      return { type: neighbourCodec.RTM_DELNEIGH, flags: 0, payload, what };
    }
    case 'forwarding': {
      const payload = forwarding.encodeForwardingKey(change.entry);
      return { type: neighbourCodec.RTM_DELNEIGH, flags: 0, payload, what };
    }
  }
}

function entryText(change: EntryChange): string {
  switch (change.kind) {
    case 'route':
      return routes.routeText(change.entry);
    case 'neighbour':
      return `neighbour ${change.entry.address} on link ${change.entry.link}`;
    case 'forwarding':
      return `forwarding entry ${change.entry.mac} to ${change.entry.remote} on link ${change.entry.link}`;
  }
}

function isThere(socket: Requests, name: string): boolean {
  const payload = links.encodeLinkByName(name);
  return (
    unlessErrno(GONE, () => socket.request(links.RTM_GETLINK, 0, payload, `get link ${name}`)) !==
    undefined
  );
}

function isGone({ code }: NetlinkError): boolean {
  return GONE.some((gone) => gone === code);
}
