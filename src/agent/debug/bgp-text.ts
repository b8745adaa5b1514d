/** What `weft bgp` prints for people. */
import { tableLines, wrapped } from '../../util/text-layout.ts';
import type { RoutingStatus } from '../routing/status.ts';

/** Sessions, routes of this node, and what is wrong. */
export function bgpText({ asn, topology, sessions, routes, problems }: RoutingStatus): string {
  const isMesh = topology === 'none' ? 'nodes do not talk to each other' : `topology ${topology}`;
  return `${[
    `AS ${asn}, ${isMesh}`,
    '',
    ...sessionLines(sessions),
    '',
    ...routeLines(routes),
    ...(problems.length === 0 ? [] : ['']),
    ...problems.flatMap((problem) => wrapped(problem, { first: '! ', next: '  ' })),
  ].join('\n')}\n`;
}

function sessionLines(sessions: RoutingStatus['sessions']): readonly string[] {
  if (sessions.length === 0) return ['no sessions: set routing.topology or routing.peers'];
  const columns = [
    { title: 'NEIGHBOUR' },
    { title: 'KIND' },
    { title: 'ADDRESS' },
    { title: 'AS', isNumber: true },
    { title: 'STATE' },
    { title: 'IN', isNumber: true },
    { title: 'OUT', isNumber: true },
  ];
  const rows = sessions.map(({ name, kind, address, asn, state, imported, exported }) => [
    ...[name, kind, address, String(asn), state, String(imported), String(exported)],
  ]);
  return tableLines(columns, rows);
}

function routeLines(routes: RoutingStatus['routes']): readonly string[] {
  if (routes.length === 0) return ['nothing to tell'];
  const columns = [{ title: 'NETWORK' }, { title: 'TOLD' }, { title: 'WHAT' }];
  const rows = routes.map(({ network, what, whyNot }) => [
    network,
    whyNot === '' ? 'yes' : 'no',
    whyNot === '' ? what : `${what}: ${whyNot}`,
  ]);
  return tableLines(columns, rows);
}
