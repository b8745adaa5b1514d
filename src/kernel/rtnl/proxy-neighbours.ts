import { NLM_F_CREATE, NLM_F_REPLACE } from '../../netlink/message.ts';
import * as neighbours from '../../netlink/rtnetlink/neighbour.ts';
import { succeedsUnless, unlessErrno } from '../../util/errno.ts';
import { GONE } from '../netlink-errors.ts';
import type { ProxyNeighbour } from '../types.ts';
import type { Requests } from './named-links.ts';

/** A kernel without IPv6 has none (ENOTSUP). */
export function proxyNeighbours(socket: Requests): readonly ProxyNeighbour[] {
  const payload = neighbours.encodeProxyFilter();
  const list = () => socket.dump(neighbours.RTM_GETNEIGH, payload, 'list proxy neighbours');
  return (unlessErrno(['ENOTSUP'], list) ?? []).flatMap((reply) => {
    return neighbours.decodeProxyNeighbour(reply.payload) ?? [];
  });
}

export function setProxyNeighbour(socket: Requests, proxy: ProxyNeighbour): void {
  const flags = NLM_F_CREATE | NLM_F_REPLACE;
  const payload = neighbours.encodeProxyNeighbour(proxy);
  socket.request(neighbours.RTM_NEWNEIGH, flags, payload, `set ${textOf(proxy)}`);
}

export function deleteProxyNeighbour(socket: Requests, proxy: ProxyNeighbour): boolean {
  const payload = neighbours.encodeProxyNeighbour(proxy);
  return succeedsUnless(GONE, () => {
    socket.request(neighbours.RTM_DELNEIGH, 0, payload, `delete ${textOf(proxy)}`);
  });
}

function textOf({ address, link }: ProxyNeighbour): string {
  return `proxy neighbour ${address} on link ${link}`;
}
