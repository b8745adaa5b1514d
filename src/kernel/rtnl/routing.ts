/** What the routing has, and what it makes of packets. */
import type { IP, IPFamily } from '../../net/ip.ts';
import {
  decodeLocalRoute,
  decodeRoute,
  encodeRouteFilter,
  encodeRouteLookup,
  type Route,
  RT_TABLE_LOCAL,
  RTM_GETROUTE,
} from '../../netlink/rtnetlink/route.ts';
import {
  decodeRouteAnswer,
  encodeRouteQuestion,
  ROUTE_REFUSALS,
  type RouteAnswer,
  type RouteQuestion,
} from '../../netlink/rtnetlink/route-question.ts';
import { unlessErrno } from '../../util/errno.ts';
import { errorCode } from '../../util/errors.ts';
import type { Requests } from './named-links.ts';

export function listRoutes(socket: Requests, family: IPFamily, table: number): readonly Route[] {
  return routePayloads(socket, family, table).flatMap((payload) => decodeRoute(payload) ?? []);
}

export function localRoutes(socket: Requests, family: IPFamily): readonly IP[] {
  return routePayloads(socket, family, RT_TABLE_LOCAL).flatMap(
    (payload) => decodeLocalRoute(payload) ?? [],
  );
}

/** In a namespace where no link was up yet there are no tables, not even the main one. */
function routePayloads(socket: Requests, family: IPFamily, table: number): readonly Buffer[] {
  const filter = encodeRouteFilter(family, table);
  const list = () => socket.dump(RTM_GETROUTE, filter, `list routes of table ${table}`);
  return (unlessErrno(['ENOENT'], list) ?? []).map(({ payload }) => payload);
}

export function routeTo(socket: Requests, address: IP): Route | undefined {
  const payload = encodeRouteLookup(address);
  const [reply] =
    unlessErrno(['ENETUNREACH', 'EHOSTUNREACH'], () =>
      socket.request(RTM_GETROUTE, 0, payload, `find the route to ${address}`),
    ) ?? [];
  return reply === undefined ? undefined : decodeRoute(reply.payload);
}

export function askRoute(socket: Requests, question: RouteQuestion): RouteAnswer {
  const what = `find the route to ${question.destination}`;
  try {
    const [reply] = socket.request(RTM_GETROUTE, 0, encodeRouteQuestion(question), what);
    return reply === undefined ? { kind: 'unknown' } : decodeRouteAnswer(reply.payload);
  } catch (thrown) {
    const code = errorCode(thrown);
    if (code === undefined || !ROUTE_REFUSALS.includes(code)) throw thrown;
    return { kind: 'refused', code };
  }
}
