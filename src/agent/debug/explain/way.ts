/**
 * The way of a connection through the node, request and reply, behind the rules: routing, rp_filter,
 * forwarding, the bridge, connection tracking. Pure but for the facts, which are read as they are asked.
 */
import { pathProblem } from '../../../fabric/probe/path.ts';
import type { Link, RouteAnswer } from '../../../kernel/types.ts';
import { containsIP } from '../../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily, isLoopback } from '../../../net/ip.ts';
import type { Packet } from '../../../proxy/verdict/explanation.ts';
import { bridgeCause, type Cause, conntrackCause, podNetnsCause } from './cause.ts';
import type { LocalPod, NodeFacts } from './node-facts.ts';
import { refusalCause, routeCause } from './route-refusal.ts';

/** Where a connection goes after translation. */
export interface Place {
  readonly ip: IP;
  readonly port: number;
  /** The endpoint sees the node's address. */
  readonly isMasqueraded: boolean;
  /** A process of this node makes the connection to it. */
  readonly isForwarded?: true;
}

/** Packets of one direction, from the node's point of view. */
export interface Leg {
  readonly source: IP;
  readonly destination: IP;
  /** Absent: a process of this node sends them. */
  readonly inLink?: string;
  /** `bridged`: from port to port, without the routing. */
  readonly outcome: 'sent' | 'delivered' | 'dropped' | 'bridged' | 'unknown';
  readonly outLink?: string;
  readonly gateway?: IP;
  /** The node whose pods are there, and how packets get to it. */
  readonly peer?: string;
  /** Bytes that pass: the smallest of link, route and what was probed. */
  readonly mtu?: number;
}

export interface Way {
  readonly place: Place;
  readonly request: Leg;
  readonly reply: Leg;
  readonly causes: readonly Cause[];
}

const NEARLY_FULL = 0.9;

/** The way to one place that a packet may go to, and back. */
export function wayTo(packet: Packet, place: Place, facts: NodeFacts): Way {
  const family = ipFamily(place.ip);
  const client = facts.podAt(packet.source);
  const server = facts.podAt(place.ip);
  const isNat = packet.destination !== place.ip || place.isMasqueraded;
  if (!isNat && isOneLink(client, server))
    return bridgedWay(packet, place, { client, server }, facts);
  const inLink = place.isForwarded ? undefined : linkOfSource(packet, facts);
  const request = legOf({ source: packet.source, destination: place.ip, inLink }, facts);
  const back = request.answer.kind === 'sent' ? request.answer.route.link : undefined;
  const backLink = back === undefined ? undefined : facts.linkByIndex(back);
  const reply = legOf(
    { source: place.ip, destination: clientSeen(packet, place, request.answer), inLink: backLink },
    facts,
    request.answer.kind === 'delivered' ? 'own' : undefined,
  );
  const requestCauses = [
    ...podRouteCauses(client, packet.destination, 'request', facts),
    ...conntrackCauses(facts, 'request'),
    ...refusalCauses(request, 'request', facts),
    ...mtuCauses(request.leg, client, server, place.ip, facts),
  ];
  // Nothing comes back of what was dropped.
  const isStopped = requestCauses.some(({ effect }) => effect === 'drops' || effect === 'refuses');
  const replyCauses = isStopped
    ? []
    : [
        ...podRouteCauses(server, place.isMasqueraded ? undefined : packet.source, 'reply', facts),
        ...bridgeCauses(client, server, place, family, facts),
        ...refusalCauses(reply, 'reply', facts),
      ];
  return {
    place,
    request: request.leg,
    reply: isStopped ? { ...reply.leg, outcome: 'unknown' } : reply.leg,
    causes: [...requestCauses, ...replyCauses],
  };
}

/** Whom the answer is for once it is translated back. */
function clientSeen({ source }: Packet, { isForwarded }: Place, answer: RouteAnswer): IP {
  const own = answer.kind === 'sent' ? answer.route.source : undefined;
  return isForwarded && own !== undefined ? own : source;
}

interface AskedLeg {
  readonly source: IP;
  readonly destination: IP;
  readonly inLink: Link | undefined;
}

interface AnsweredLeg extends AskedLeg {
  readonly leg: Leg;
  readonly answer: RouteAnswer;
}

/** `own`: a process of this node sends it, from an address that need not be its own. */
function legOf(asked: AskedLeg, facts: NodeFacts, sender?: 'own'): AnsweredLeg {
  const { source, destination, inLink } = asked;
  const isOwn = sender === 'own' || inLink === undefined;
  const answer = facts.askRoute({
    destination,
    ...(isOwn ? {} : { source, inLink: inLink.index }),
  });
  const peer = facts.peers.find(({ podCIDRs }) =>
    podCIDRs.some((cidr) => containsIP(cidr, destination)),
  );
  const base = {
    ...{ source, destination },
    ...(isOwn ? {} : { inLink: inLink.name }),
    ...(peer === undefined ? {} : { peer: `${peer.name} (${peer.path})` }),
  };
  if (answer.kind !== 'sent') {
    const outcome = answer.kind === 'refused' ? 'dropped' : answer.kind;
    return { ...asked, answer, leg: { ...base, outcome } };
  }
  const { route } = answer;
  const out = route.link === undefined ? undefined : facts.linkByIndex(route.link);
  const probed = facts.paths.find(
    ({ path }) => path.node === peer?.name && path.family === ipFamily(destination),
  );
  const mtus = [out?.mtu, route.mtu, probed?.mtu].filter((mtu) => mtu !== undefined && mtu > 0);
  return {
    ...asked,
    answer,
    leg: {
      ...base,
      outcome: 'sent',
      ...(out === undefined ? {} : { outLink: out.name }),
      ...(route.gateway === undefined ? {} : { gateway: route.gateway }),
      ...(mtus.length === 0 ? {} : { mtu: Math.min(...mtus.map(Number)) }),
    },
  };
}

/** The link a client's packets come in by: as told, of its pod, or the one that leads back to it. */
function linkOfSource({ source, inInterface }: Packet, facts: NodeFacts): Link | undefined {
  if (isLoopback(source) || facts.localAddresses.includes(source)) return undefined;
  if (inInterface !== undefined) return facts.link(inInterface);
  const pod = facts.podAt(source);
  const podLink = pod === undefined ? undefined : facts.link(pod.gatewayLink);
  if (podLink !== undefined) return podLink;
  const back = facts.askRoute({ destination: source });
  if (back.kind !== 'sent' || back.route.link === undefined) return undefined;
  return facts.linkByIndex(back.route.link);
}

function isOneLink(client: LocalPod | undefined, server: LocalPod | undefined): boolean {
  return (
    client !== undefined &&
    client.gatewayLink === server?.gatewayLink &&
    !(client.isRouted && server.isRouted)
  );
}

function bridgedWay(
  packet: Packet,
  place: Place,
  { client, server }: Record<'client' | 'server', LocalPod | undefined>,
  facts: NodeFacts,
): Way {
  const bridge = client?.gatewayLink ?? '';
  const leg = { inLink: bridge, outLink: bridge, outcome: 'bridged' } as const;
  return {
    place,
    request: { source: packet.source, destination: place.ip, ...leg },
    reply: { source: place.ip, destination: packet.source, ...leg },
    causes: [
      ...podNetnsCauses(client, 'request', facts),
      ...podNetnsCauses(server, 'reply', facts),
    ],
  };
}

function podNetnsCauses(
  pod: LocalPod | undefined,
  direction: Cause['direction'],
  { netnsLoss }: NodeFacts,
): readonly Cause[] {
  const loss = pod && netnsLoss(pod);
  return pod && loss ? [{ direction, ...podNetnsCause(pod, loss) }] : [];
}

function refusalCauses(
  { answer, source, destination, inLink }: AnsweredLeg,
  direction: Cause['direction'],
  facts: NodeFacts,
): readonly Cause[] {
  if (answer.kind !== 'refused') return [];
  const routed = { source, destination, inLink };
  return [routeCause(refusalCause(routed, answer.code, facts), direction)];
}

/** A pod without a way to the other end sends nothing. */
function podRouteCauses(
  pod: LocalPod | undefined,
  destination: IP | undefined,
  direction: Cause['direction'],
  facts: NodeFacts,
): readonly Cause[] {
  const lost = podNetnsCauses(pod, direction, facts);
  if (pod === undefined || destination === undefined || lost.length > 0) return lost;
  const answer = facts.askPodRoute(pod, { destination });
  if (answer?.kind !== 'refused') return [];
  return [
    {
      ...{ id: 'pod-route', effect: 'drops', direction },
      seen: `pod ${pod.name} has no route to ${destination} (${answer.code})`,
      cure: `start the pod anew; nsenter --net=${pod.netns.path} ip route shows what it has`,
    },
  ];
}

function conntrackCauses({ sysctl }: NodeFacts, direction: Cause['direction']): readonly Cause[] {
  const count = Number(sysctl('net/netfilter/nf_conntrack_count') ?? 0);
  const max = Number(sysctl('net/netfilter/nf_conntrack_max') ?? 0);
  // 0: no limit.
  if (max === 0 || count < max * NEARLY_FULL) return [];
  return [{ direction, ...conntrackCause(count, max) }];
}

/** The endpoint answers the client by the bridge, with an address that the client did not ask. */
function bridgeCauses(
  client: LocalPod | undefined,
  server: LocalPod | undefined,
  { isMasqueraded }: Place,
  family: IPFamily,
  { sysctl }: NodeFacts,
): readonly Cause[] {
  if (isMasqueraded || client === undefined || server === undefined) return [];
  if (!isOneLink(client, server) || client.name === server.name) return [];
  const isDirect = client.ips.some((ip) => {
    return ipFamily(ip) === family && server.networks.some((network) => containsIP(network, ip));
  });
  const called = sysctl(`net/bridge/bridge-nf-call-${family === 4 ? 'iptables' : 'ip6tables'}`);
  if (!isDirect || called === '1') return [];
  return [{ direction: 'reply', ...bridgeCause(family, client.gatewayLink) }];
}

function mtuCauses(
  leg: Leg,
  client: LocalPod | undefined,
  server: LocalPod | undefined,
  ip: IP,
  facts: NodeFacts,
): readonly Cause[] {
  const peer = facts.peers.find(({ podCIDRs }) => podCIDRs.some((cidr) => containsIP(cidr, ip)));
  const finding = facts.paths.find(
    ({ path }) => path.node === peer?.name && path.family === ipFamily(ip),
  );
  const problem = finding === undefined ? undefined : pathProblem(finding);
  const large = { id: 'mtu', effect: 'mayDrop', direction: 'request' } as const;
  if (problem !== undefined) {
    const [seen = '', ...cure] = problem.split(': raise ');
    return [{ ...large, seen, cure: `raise ${cure.join(': raise ')}` }];
  }
  const pod = client ?? server;
  const mtu = pod?.mtu ?? (pod === undefined ? undefined : facts.link(pod.gatewayLink)?.mtu);
  if (mtu === undefined || leg.mtu === undefined || leg.outcome !== 'sent' || mtu <= leg.mtu)
    return [];
  return [
    {
      ...large,
      seen: `pod ${pod?.name} sends packets of ${mtu} bytes and ${leg.outLink ?? 'the way'} passes ${leg.mtu}: large ones get through only while ICMP errors arrive`,
      cure: `an MTU of ${leg.mtu} for pods (CNI configuration, or fabric.mtu), or a larger one for ${leg.outLink ?? 'the link'}`,
    },
  ];
}
