/**
 * The configuration of BIRD 2 as a pure function of what is known. Sessions are tuned for links that
 * come and go: with BIRD's own times a neighbour is not back half a minute after its link is.
 */
import { createHash } from 'node:crypto';
import { type Cidr, cidrFamily, prefixLength } from '../net/cidr.ts';
import { type IPFamily, ipFamily } from '../net/ip.ts';
import { type AdvertisedRoute, advertisedRoutes, ownNode } from './advertised.ts';
import { addCommunities, block, described, inner } from './bird-text.ts';
import type { RoutedNode, RoutingFacts } from './facts.ts';
import { type Session, sessionsOf } from './sessions.ts';
import type { BgpSettings, Community, ImportedNetwork } from './settings.ts';

export interface BirdPlan {
  readonly text: string;
  readonly sessions: readonly Session[];
  readonly routes: readonly AdvertisedRoute[];
  readonly problems: readonly string[];
}

/** The protocol of our own routes, which filters know them by. */
const OWN_ROUTES: Readonly<Record<IPFamily, string>> = { 4: 'own4', 6: 'own6' };
const HEAD = `# Written by weft, which replaces it. Routes to pods of other nodes come from BGP into table main;
# what others are told are the routes of the protocols own4 and own6.`;

/**
 * So long a BIRD that starts again (`-R`) waits for neighbours that keep its routes, before it tells others
 * and changes the kernel. Those that are not back until then may be gone.
 */
const MOST_RECOVERY_S = 10;

/** What BIRD of this node is to do. */
export function planBird(settings: BgpSettings, facts: RoutingFacts): BirdPlan {
  const own = ownNode(facts);
  const { sessions, problems } = sessionsOf(settings, facts);
  const routes = advertisedRoutes(settings, own, facts.services);
  const told = routes.filter(({ whyNot }) => whyNot === '').map(({ network }) => network);
  const lines = [
    HEAD,
    'log stderr { info, warning, error, fatal, bug, remote, auth };',
    `router id ${routerID(facts.nodeName, own)};`,
    `graceful restart wait ${MOST_RECOVERY_S};`,
    'protocol device { scan time 2; }',
    ...block('protocol direct', ['ipv4;', 'ipv6;']),
    ...bfdProtocol(sessions),
    ...facts.families.flatMap((family) => [...kernelProtocol(family), ...ownRoutes(family, told)]),
    ...sessions.flatMap((session) => sessionProtocol(session, settings, own)),
  ];
  return { text: `${lines.join('\n')}\n`, sessions, routes, problems };
}

/** Its IPv4 address; where it has none, a number that stays the same (RFC 6286 asks for no more). */
function routerID(nodeName: string, own: RoutedNode | undefined): string {
  const address = own?.addresses.find((ip) => ipFamily(ip) === 4);
  if (address !== undefined) return address;
  const hash = createHash('sha256').update(nodeName).digest();
  // Not 0.0.0.0, and no multicast or reserved address.
  return [1 + ((hash[0] ?? 0) % 126), hash[1], hash[2], hash[3]].join('.');
}

/**
 * What neighbours tell goes to the kernel and stays there when BIRD ends. Other routes of the node are
 * read: they lead to neighbours that are not on a link of ours.
 */
function kernelProtocol(family: IPFamily): readonly string[] {
  return block(`protocol kernel kernel${family}`, [
    'persist;',
    'learn;',
    'scan time 10;',
    'merge paths on limit 16;',
    'graceful restart on;',
    ...inner(`ipv${family}`, ['import all;', 'export where source = RTS_BGP;']),
  ]);
}

/**
 * Networks of this node. They go before the links' own networks (`direct` has 240), of which others are
 * told nothing: a podCIDR is one as soon as there is a bridge.
 */
function ownRoutes(family: IPFamily, networks: readonly Cidr[]): readonly string[] {
  const own = networks.filter((network) => cidrFamily(network) === family);
  return block(`protocol static ${OWN_ROUTES[family]}`, [
    ...inner(`ipv${family}`, ['preference 250;']),
    ...own.map((network) => `route ${network} blackhole;`),
  ]);
}

function bfdProtocol(sessions: readonly Session[]): readonly string[] {
  if (!sessions.some(({ bfd }) => bfd)) return [];
  const times = ['interval 250 ms;', 'multiplier 3;', 'idle tx interval 1 s;'];
  return block('protocol bfd', [...inner('interface "*"', times), ...inner('multihop', times)]);
}

function sessionProtocol(
  session: Session,
  settings: BgpSettings,
  own: RoutedNode | undefined,
): readonly string[] {
  const { symbol, name, family, address, localAddress, localASN, asn, multihop, password } =
    session;
  const from = localAddress === undefined ? '' : `${localAddress} `;
  return block(`protocol bgp ${symbol}`, [
    `description ${described(`${session.kind} ${name}`)};`,
    `local ${from}as ${localASN};`,
    `neighbor ${address} as ${asn};`,
    multihop === undefined ? 'direct;' : `multihop ${multihop};`,
    'connect delay time 1;',
    'connect retry time 2;',
    'error wait time 1, 4;',
    ...lossDetection(session),
    // A node of another autonomous system is told everything anyway.
    ...(session.kind === 'client' && asn === localASN ? ['rr client;'] : []),
    ...(password === undefined ? [] : [`password "${password}";`]),
    ...inner(`ipv${family}`, [
      ...inner('import filter', importFilter(session, own)),
      ...inner('export filter', exportFilter(session, settings)),
      ...nextHops(session),
    ]),
  ]);
}

/**
 * What another node told is passed on with that node's address. A reflector tells of nodes that may be on
 * no link of ours: the kernel's routes say how to get there.
 */
function nextHops({ kind }: Session): readonly string[] {
  if (kind === 'router') return ['next hop self;'];
  return ['next hop self ebgp;', ...(kind === 'node' ? [] : ['gateway recursive;'])];
}

/**
 * BFD, or graceful restart: BFD ends what graceful restart would keep. IPv6 goes without the latter:
 * there sessions did not come up with it.
 */
function lossDetection({ bfd, family }: Session): readonly string[] {
  if (bfd) return ['bfd on;', 'graceful restart off;'];
  const hold = ['hold time 9;', 'keepalive time 3;'];
  return [...hold, `graceful restart ${family === 4 ? 'on' : 'off'};`];
}

/** Nobody is believed what is this node's own. */
function importFilter(
  { imports, family }: Session,
  own: RoutedNode | undefined,
): readonly string[] {
  if (imports.length === 0) return ['reject;'];
  const kept = (own?.podCIDRs ?? []).filter((network) => cidrFamily(network) === family);
  return [
    ...kept.map((network) => `if net ~ [ ${network}+ ] then reject;`),
    `if net ~ [ ${imports.map(patternOf).join(', ')} ] then accept;`,
    'reject;',
  ];
}

function patternOf({ network, longest }: ImportedNetwork): string {
  const shortest = prefixLength(network);
  return longest === shortest ? network : `${network}{${shortest},${longest}}`;
}

/** Own routes; a reflector also passes on what its clients and the other reflectors tell. */
function exportFilter(session: Session, { communities }: BgpSettings): readonly string[] {
  const all: readonly Community[] = [...communities, ...session.communities];
  const isOwn = `proto = "${OWN_ROUTES[session.family]}"`;
  return [
    ...block(`if ${isOwn} then`, [...addCommunities(all), ...ownNextHop(session), 'accept;']),
    // Not to a node what the other reflectors tell of it: BIRD refuses that, and logs it as an error.
    ...(session.reflects
      ? [`if source = RTS_BGP && bgp_next_hop != ${session.address} then accept;`]
      : []),
    'reject;',
  ];
}

/**
 * Of its own BIRD adds the link-local address of the link where there is one yet (RFC 2545): the same node
 * would be two next hops, by whether its reflectors' sessions came up before or after that.
 */
function ownNextHop({ kind, family, localAddress }: Session): readonly string[] {
  if (kind === 'router' || family === 4 || localAddress === undefined) return [];
  return [`bgp_next_hop = ${localAddress};`];
}
