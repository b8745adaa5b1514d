/** What `weft bgp` prints for people. */
import { tableLines, wrapped } from '../../util/text-layout.ts';
import type { RoutingStatus } from '../status/routing-status.ts';

/** Sessions, routes of this node, and what is wrong. */
export function bgpText({
  asn,
  topology,
  sessions,
  routes,
  pools,
  announcer,
  problems,
}: RoutingStatus): string {
  const isMesh = topology === 'none' ? 'nodes do not talk to each other' : `topology ${topology}`;
  return `${[
    `AS ${asn}, ${isMesh}`,
    '',
    ...sessionLines(sessions),
    '',
    ...routeLines(routes),
    ...(pools === undefined ? [] : ['', ...poolLines(pools)]),
    ...(announcer === undefined ? [] : ['', ...announcerLines(announcer)]),
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

function poolLines({ isAllocator, pools }: NonNullable<RoutingStatus['pools']>): readonly string[] {
  const who = isAllocator ? 'this agent gives them' : 'another agent gives them';
  if (pools.length === 0) return [`no address pool: make an AddressPool (${who})`];
  const columns = [
    { title: 'POOL' },
    { title: 'USED', isNumber: true },
    { title: 'OF', isNumber: true },
    { title: 'HELD BY' },
  ];
  const rows = pools.map(({ name, used, size, holders }) => {
    const more = holders.length < used ? ', …' : '';
    return [name, String(used), size, `${holders.join(', ')}${more}`];
  });
  return [...tableLines(columns, rows), `addresses of Services: ${who}`];
}

function announcerLines({
  addresses,
  nodes,
  all,
}: NonNullable<RoutingStatus['announcer']>): readonly string[] {
  const indents = { first: '', next: '  ' };
  const own = addresses.length === 0 ? 'no address' : addresses.join(', ');
  const columns = [{ title: 'ADDRESS' }, { title: 'ANSWERED BY' }, { title: 'SERVICES' }];
  const rows = all.map(({ ip, node, services, whyNot }) => {
    const names = services.join(', ');
    return [ip, node ?? 'nobody', whyNot === '' ? names : `${names}: ${whyNot}`];
  });
  return [
    ...(all.length === 0 ? [] : [...tableLines(columns, rows), '']),
    ...wrapped(`this node answers on its links for ${own}`, indents),
    ...wrapped(`nodes that can answer: ${nodes.join(', ') || 'none'}`, indents),
  ];
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
