import { NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE } from '../../netlink/message.ts';
import {
  decodeTokenBucket,
  encodeTokenBucket,
  type TokenBucket,
} from '../../netlink/rtnetlink/token-bucket.ts';
import * as tc from '../../netlink/rtnetlink/traffic-control.ts';
import { succeedsUnless, unlessErrno } from '../../util/errno.ts';
import { GONE } from '../netlink-errors.ts';
import type { Requests } from './named-links.ts';

/** After the priorities people and other agents use; the kernel hands out 49152 and below. */
const REDIRECT_PRIORITY = 0xc100;
/** EINVAL: the link has no qdisc for filters. */
const NO_FILTERS = [...GONE, 'EINVAL'];

/** Changes a tbf in place; anything else at the root is replaced. */
export function setTokenBucket(socket: Requests, link: number, bucket: TokenBucket): void {
  const root = rootQdisc(socket, link);
  // The kernel refuses to change one kind into another under the same handle.
  if (root?.handle === tc.ROOT_HANDLE && root.kind !== 'tbf') deleteRoot(socket, link);
  const key = { link, parent: tc.PARENT.root, handle: tc.ROOT_HANDLE };
  const payload = tc.encodeQdisc(key, 'tbf', encodeTokenBucket(bucket));
  const flags = NLM_F_CREATE | NLM_F_REPLACE;
  socket.request(tc.RTM_NEWQDISC, flags, payload, `set tbf of link ${link}`);
}

/** The tbf at the root of the link. */
export function tokenBucket(socket: Requests, link: number): TokenBucket | undefined {
  const root = rootQdisc(socket, link);
  return root?.kind === 'tbf' ? decodeTokenBucket(root.options) : undefined;
}

/** `false` when the root is no tbf or the link is gone. */
export function deleteTokenBucket(socket: Requests, link: number): boolean {
  return rootQdisc(socket, link)?.kind === 'tbf' && deleteRoot(socket, link);
}

/** Makes the filter, and the qdisc for it when the link has none. */
export function redirectIngress(socket: Requests, link: number, target: number): void {
  const present = redirects(socket, link);
  const [first] = present;
  if (present.length === 1 && first?.matchesEverything && first.target === target) return;
  if (present.length > 0) deleteIngressRedirect(socket, link);
  const flags = NLM_F_CREATE | NLM_F_EXCL;
  succeedsUnless(['EEXIST'], () => {
    socket.request(tc.RTM_NEWQDISC, flags, tc.encodeClsact(link), `add clsact to link ${link}`);
  });
  const payload = tc.encodeRedirect(filterKey(link), target);
  const what = `redirect what link ${link} receives to link ${target}`;
  socket.request(tc.RTM_NEWTFILTER, flags, payload, what);
}

/** The ifindex packets are redirected to. */
export function ingressRedirect(socket: Requests, link: number): number | undefined {
  const [first, ...more] = redirects(socket, link);
  return first?.matchesEverything === true && more.length === 0 ? first.target : undefined;
}

/** Deletes all filters of the priority that is ours. */
export function deleteIngressRedirect(socket: Requests, link: number): boolean {
  const payload = tc.encodeFilterKey(filterKey(link));
  return succeedsUnless(NO_FILTERS, () => {
    socket.request(tc.RTM_DELTFILTER, 0, payload, `delete redirect of link ${link}`);
  });
}

function filterKey(link: number): tc.FilterKey {
  return { link, parent: tc.PARENT.ingress, priority: REDIRECT_PRIORITY };
}

function redirects(socket: Requests, link: number): readonly tc.RedirectFilter[] {
  const payload = tc.encodeFilterKey({ ...filterKey(link), priority: 0 });
  const replies = unlessErrno(NO_FILTERS, () =>
    socket.dump(tc.RTM_GETTFILTER, payload, `list filters of link ${link}`),
  );
  return (replies ?? [])
    .flatMap((reply) => tc.decodeRedirect(reply.payload) ?? [])
    .filter(({ priority }) => priority === REDIRECT_PRIORITY);
}

/** ENOENT: the default qdisc, which has no handle. Without ECHO only listeners are told. */
function rootQdisc(socket: Requests, link: number): tc.Qdisc | undefined {
  const payload = tc.encodeQdiscKey({ link, parent: tc.PARENT.root });
  const replies = unlessErrno(GONE, () =>
    socket.request(tc.RTM_GETQDISC, NLM_F_ECHO, payload, `get root qdisc of link ${link}`),
  );
  const reply = replies?.find(({ type }) => type === tc.RTM_NEWQDISC);
  return reply === undefined ? undefined : tc.decodeQdisc(reply.payload);
}

function deleteRoot(socket: Requests, link: number): boolean {
  const payload = tc.encodeQdiscKey({ link, parent: tc.PARENT.root });
  return succeedsUnless(GONE, () => {
    socket.request(tc.RTM_DELQDISC, 0, payload, `delete root qdisc of link ${link}`);
  });
}
