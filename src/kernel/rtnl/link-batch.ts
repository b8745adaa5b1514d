import { requestAll } from '../../netlink/request-batch.ts';
import {
  decodeLink,
  encodeLinkByIndex,
  encodeLinkChange,
  encodeLinkFilter,
  encodeLinkGroup,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
} from '../../netlink/rtnetlink/link.ts';
import { succeedsUnless } from '../../util/errno.ts';
import { joinErrors, WeftError } from '../../util/errors.ts';
import { GONE } from '../netlink-errors.ts';
import type { Link } from '../types.ts';
import type { Requests } from './named-links.ts';

/** Far above the numbers people give to groups in /etc/iproute2/group. */
const FIRST_GROUP = 0x4000_0000;
const GROUPS_END = 0x7fff_ffff;

/** Gives an integer from `min` to below `max`. */
export type RandomInt = (min: number, max: number) => number;

/**
 * Moves the links to one group and deletes the group with one request. Deleting waits for an RCU
 * grace period; so it is one wait for all of them. The group is a random number that no link
 * carries, so that neither another process at work nor what a killed one left has the same.
 */
export function deleteLinks(
  socket: Requests,
  indexes: readonly number[],
  randomInt: RandomInt = anyInt,
): void {
  const [only] = indexes;
  if (only === undefined) return;
  if (indexes.length === 1) {
    deleteOne(socket, only);
    return;
  }
  const all = listLinks(socket);
  const wanted = new Set(indexes);
  const doomed = all.filter(({ index }) => wanted.has(index));
  if (doomed.length === 0) return;
  const lasting = doomed.find(({ kind }) => kind === undefined);
  if (lasting !== undefined) {
    throw new WeftError('ENOTSUP', `delete link ${lasting.name}: hardware or loopback`);
  }
  const group = unusedGroup(all, randomInt);
  try {
    moveToGroup(socket, doomed, () => group);
    deleteGroup(socket, group);
  } catch (error) {
    throw joinErrors([error, ...restoreGroups(socket, doomed)], 'delete links');
  }
}

function deleteOne(socket: Requests, index: number): void {
  succeedsUnless(GONE, () => {
    socket.request(RTM_DELLINK, 0, encodeLinkByIndex(index), `delete link ${index}`);
  });
}

function listLinks(socket: Requests): readonly Link[] {
  return socket
    .dump(RTM_GETLINK, encodeLinkFilter(), 'list links')
    .map((reply) => decodeLink(reply.payload));
}

function unusedGroup(links: readonly Link[], randomInt: RandomInt): number {
  const group = randomInt(FIRST_GROUP, GROUPS_END);
  const owner = links.find((link) => link.group === group);
  if (owner === undefined) return group;
  throw new WeftError('EBUSY', `delete links: group ${group} is in use by ${owner.name}`);
}

function moveToGroup(
  socket: Requests,
  links: readonly Link[],
  groupOf: (link: Link) => number,
): void {
  const requests = links.map((link) => ({
    type: RTM_NEWLINK,
    flags: 0,
    payload: encodeLinkChange(link.index, { group: groupOf(link) }),
    what: `set the group of link ${link.name}`,
  }));
  const failures = requestAll(socket, requests).filter(
    (error) => error !== undefined && error.code !== 'ENODEV',
  );
  if (failures.length > 0) throw joinErrors(failures, 'set link groups');
}

/** ENODEV: no link is in the group, because somebody else deleted the last of them. */
function deleteGroup(socket: Requests, group: number): void {
  succeedsUnless(['ENODEV'], () => {
    socket.request(RTM_DELLINK, 0, encodeLinkGroup(group), `delete link group ${group}`);
  });
}

function restoreGroups(socket: Requests, links: readonly Link[]): readonly unknown[] {
  try {
    moveToGroup(socket, links, (link) => link.group ?? 0);
    return [];
  } catch (error) {
    return [error];
  }
}

/** Nobody gains by guessing a group's number, and `node:crypto` takes 5 ms to load. */
function anyInt(min: number, max: number): number {
  return min + Math.floor(Math.random() * (max - min));
}
