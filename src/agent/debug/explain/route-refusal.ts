/** Why the kernel's routing drops a packet, in words with the cure. Pure but for the facts. */
import type { Link } from '../../../kernel/types.ts';
import { containsIP } from '../../../net/cidr.ts';
import { type IP, ipFamily } from '../../../net/ip.ts';
import { type Cause, familyName, forwardingCause, rpFilterCause } from './cause.ts';
import type { NodeFacts } from './node-facts.ts';

export interface RoutedPacket {
  readonly source: IP;
  readonly destination: IP;
  /** Undefined: this node sends it. */
  readonly inLink: Link | undefined;
}

const STRICT = 1;
const LOOSE = 2;

/**
 * The cause of an errno of RTM_GETROUTE. The kernel gives EINVAL for a source that it does not take, for a
 * blackhole and, where it does not forward, EHOSTUNREACH, as for a route that is none.
 */
export function refusalCause(
  packet: RoutedPacket,
  code: string,
  facts: NodeFacts,
): Omit<Cause, 'direction'> {
  const { source, inLink } = packet;
  if (inLink !== undefined) {
    const family = ipFamily(source);
    const path = `net/${familyName(family)}/conf`;
    const isForwarding =
      facts.sysctl(`${path}/${inLink.name}/forwarding`) === '1' ||
      (family === 6 && facts.sysctl(`${path}/all/forwarding`) === '1');
    if (!isForwarding) return forwardingCause(family, inLink.name);
    const refused = family === 4 ? sourceCause(packet, inLink, facts) : undefined;
    if (refused !== undefined) return refused;
  }
  return noRouteCause(packet, code, facts);
}

/**
 * The client learns of a route that is none by an ICMP error, unless the kernel has sent it too many
 * (ip_error in net/ipv4/route.c, ip6_pkt_drop); of the way back it learns nothing.
 */
export function routeCause(cause: Omit<Cause, 'direction'>, direction: Cause['direction']): Cause {
  const isTold =
    direction === 'request' && cause.id === 'no-route' && !/blackhole/.test(cause.seen);
  return { ...cause, direction, effect: isTold ? 'refuses' : cause.effect };
}

/** What fib_validate_source (net/ipv4/fib_frontend.c) does not take. */
function sourceCause(
  { source }: RoutedPacket,
  inLink: Link,
  facts: NodeFacts,
): Omit<Cause, 'direction'> | undefined {
  // IN_DEV_MAXCONF: the larger one of both holds.
  const filterOf = (link: string) => Number(facts.sysctl(`net/ipv4/conf/${link}/rp_filter`) ?? 0);
  const filter = Math.max(filterOf('all'), filterOf(inLink.name));
  const back = facts.askRoute({ destination: source });
  if (back.kind === 'delivered') {
    return {
      id: 'source-refused',
      effect: 'drops',
      seen: `packets from ${source}, which is this node's own address, come in by ${inLink.name}`,
      cure: `find who else has ${source}`,
    };
  }
  const backLink = back.kind === 'sent' ? back.route.link : undefined;
  if (filter === STRICT && backLink !== inLink.index) {
    const name = backLink === undefined ? undefined : facts.linkByIndex(backLink)?.name;
    const wayBack = name === undefined ? 'there is no route back' : `the way back is by ${name}`;
    return rpFilterCause(inLink.name, source, wayBack, false);
  }
  if (filter === LOOSE && back.kind === 'refused') {
    return rpFilterCause(inLink.name, source, 'there is no route back', true);
  }
  return undefined;
}

function noRouteCause(
  { destination }: RoutedPacket,
  code: string,
  { peers }: NodeFacts,
): Omit<Cause, 'direction'> {
  const peer = peers.find(({ podCIDRs }) => podCIDRs.some((cidr) => containsIP(cidr, destination)));
  const whose = peer === undefined ? '' : `, of pods of node ${peer.name}`;
  const [problem] = peer?.problems ?? [];
  const base = { id: 'no-route', effect: 'drops' } as const;
  if (code === 'EACCES' || code === 'EINVAL') {
    const kind = code === 'EACCES' ? 'prohibit' : 'blackhole';
    const seen = `the route to ${destination}${whose} is one that drops (${kind})`;
    return { ...base, seen, cure: `ip route show match ${destination} shows it` };
  }
  return {
    ...base,
    seen: `no route to ${destination}${whose}`,
    cure:
      problem ??
      (peer === undefined
        ? 'a route to that network: the component fabric makes those to other nodes'
        : 'the fabric makes it: weft status tells how it is'),
  };
}
