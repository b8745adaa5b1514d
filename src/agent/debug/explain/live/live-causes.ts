/** Why a packet, or its answer, ended where it did. Pure but for the facts. */

import type { Link } from '../../../../kernel/types.ts';
import { formatHostPort } from '../../../../net/host-port.ts';
import type { IP } from '../../../../net/ip.ts';
import type { TraceEvent } from '../../../../nftables/trace.ts';
import type { Cause } from '../cause.ts';
import { conntrackCause } from '../cause.ts';
import type { NodeFacts } from '../node-facts.ts';
import { refusalCause, routeCause } from '../route-refusal.ts';
import type { LegacyHook, LegacyView } from './legacy.ts';
import { suspectsOf } from './legacy.ts';
import type { LiveAnswer, LiveOutcome, Stage } from './live-outcome.ts';
import type { Traced } from './trace-table.ts';

export interface LiveFacts {
  readonly node: NodeFacts;
  /** Who asked, and the addresses that it may have been led to. */
  readonly client: IP;
  readonly places: readonly IP[];
  /** Counters of iptables-legacy before and after. */
  readonly legacy: { readonly before: LegacyView; readonly after: LegacyView };
  /** What somebody wrote beside the rule; undefined for nothing. */
  readonly commentOf: (table: string, chain: string, rule: string) => string | undefined;
}

type Direction = Cause['direction'];
type Seen = Pick<LiveAnswer, 'outcome' | 'reply' | 'probed' | 'heldBy'> &
  Partial<Pick<LiveAnswer, 'agreesWithModel'>>;

const OWN_TABLE = /^\S+ weft-/;
const HOOKS: Readonly<Partial<Record<Stage, LegacyHook>>> = {
  ...{ input: 'INPUT', forward: 'FORWARD', output: 'OUTPUT' },
};

export function liveCauses(answer: Seen, traced: Traced, facts: LiveFacts): readonly Cause[] {
  // What the model says of the Service is no riddle.
  if (answer.outcome.kind === 'unknown' && answer.agreesWithModel === true) return [];
  const held = listenerCauses(answer);
  if (held.length > 0) return held;
  const own = causesOfLeg(answer.outcome, traced.request, 'request', facts);
  const { reply } = answer;
  if (own.length > 0) return own;
  if (reply === undefined) return [];
  if (reply === null) return silenceCauses(answer);
  if (reply.isUntranslated === true) return [untranslatedCause(reply.outcome)];
  return [...causesOfLeg(reply.outcome, traced.reply, 'reply', facts), ...refusalCauses(answer)];
}

function causesOfLeg(
  outcome: LiveOutcome,
  events: readonly TraceEvent[],
  direction: Direction,
  facts: LiveFacts,
): readonly Cause[] {
  switch (outcome.kind) {
    case 'dropped':
      return OWN_TABLE.test(outcome.table) ? [] : [ruleCause(outcome, direction, facts)];
    case 'unknown':
      return [vanishedCause(outcome.stage, events, direction, facts)];
    default:
      return [];
  }
}

/** Mode userspace serves a Service only where the agent itself listens. */
function listenerCauses({ outcome, heldBy, agreesWithModel }: Seen): readonly Cause[] {
  const base = { effect: 'refuses', direction: 'request' } as const;
  if (heldBy !== undefined) {
    return [
      {
        ...{ ...base, id: 'other-listener' },
        seen: `${heldBy}, in the place of the agent`,
        cure: 'have that program listen at addresses of its own; with nf_tables (modprobe nf_tables) the agent gets by beside one on all addresses',
      },
    ];
  }
  if (outcome.kind !== 'closed' || agreesWithModel !== false) return [];
  return [
    {
      ...{ ...base, id: 'not-listening' },
      seen: `the agent does not listen at ${formatHostPort(outcome.ip, outcome.port)}`,
      cure: 'weft status names places where it cannot listen, and why',
    },
  ];
}

function ruleCause(
  { table, chain, rule }: Extract<LiveOutcome, { kind: 'dropped' | 'denied' | 'refused' }>,
  direction: Direction,
  { commentOf }: LiveFacts,
): Cause {
  const base = { id: 'foreign-rule', effect: 'drops', direction } as const;
  const isIptables = /^ip6? filter$/.test(table) && /^[A-Z]/.test(chain);
  const program = table.startsWith('ip6 ') ? 'ip6tables' : 'iptables';
  if (rule === undefined) {
    return {
      ...base,
      seen: `table ${table}, chain ${chain} drops what none of its rules accepts (its policy)`,
      cure: isIptables
        ? `${program} -P ${chain} ACCEPT, or the member firewall in the CNI configuration, which lets pods through`
        : `a rule there that accepts it: nft list chain ${table} ${chain}`,
    };
  }
  const comment = commentOf(table, chain, rule);
  const words = comment === undefined ? '' : ` ("${comment}")`;
  return {
    ...base,
    seen: `a rule of table ${table}, chain ${chain}, drops it: handle ${rule}${words}`,
    cure: `nft -a list chain ${table} ${chain} shows it; its owner has to let this through, or nft delete rule ${table} ${chain} handle ${rule}`,
  };
}

function untranslatedCause(outcome: LiveOutcome): Cause {
  const from = 'source' in outcome ? outcome.source : 'the endpoint';
  return {
    ...{ id: 'untranslated', effect: 'drops', direction: 'reply' },
    seen: `the answer goes to the client from ${from}, which it has not asked: nothing has translated it back`,
    cure: 'bridge-nf-call-iptables and -ip6tables have to be 1 where both are on one bridge; elsewhere look for rules with notrack',
  };
}

/** No rule that the kernel tells of has dropped it. */
function vanishedCause(
  stage: Stage,
  events: readonly TraceEvent[],
  direction: Direction,
  facts: LiveFacts,
): Cause {
  if (stage === 'tracking') {
    const full = trackingCause(facts.node);
    if (full !== undefined) return { direction, ...full };
  }
  if (stage === 'prerouting') {
    const refused = routingCause(events, direction, facts);
    if (refused !== undefined) return { ...refused, direction };
  }
  return { direction, ...unseenCause(stage, facts) };
}

function trackingCause({ sysctl }: NodeFacts): Omit<Cause, 'direction'> | undefined {
  const count = Number(sysctl('net/netfilter/nf_conntrack_count') ?? 0);
  const max = Number(sysctl('net/netfilter/nf_conntrack_max') ?? 0);
  // Between the packet and this look some may have gone.
  return max > 0 && count >= max * 0.95 ? conntrackCause(Math.max(count, max), max) : undefined;
}

/** Asks the routing what it makes of the packet as it was last seen, and as it is translated then. */
function routingCause(
  events: readonly TraceEvent[],
  direction: Direction,
  { node, client, places }: LiveFacts,
): Omit<Cause, 'direction'> | undefined {
  const packet = events.findLast((event) => event.packet !== undefined)?.packet;
  const index = events.findLast(({ inLink }) => inLink !== undefined && inLink !== 0)?.inLink;
  const inLink: Link | undefined = index === undefined ? undefined : node.linkByIndex(index);
  if (packet === undefined) return undefined;
  const { source } = packet;
  const from = inLink === undefined ? {} : { source, inLink: inLink.index };
  for (const destination of direction === 'request' ? places : [client]) {
    const answer = node.askRoute({ destination, ...from });
    if (answer.kind === 'refused') {
      const routed = { source, destination, inLink };
      return routeCause(refusalCause(routed, answer.code, node), direction);
    }
  }
  return undefined;
}

function unseenCause(stage: Stage, { legacy }: LiveFacts): Omit<Cause, 'direction'> {
  const base = { id: 'unseen-rule', effect: 'drops' } as const;
  const hook = HOOKS[stage];
  const suspects = hook === undefined ? [] : suspectsOf(hook, legacy.before, legacy.after);
  const [first] = suspects;
  if (first !== undefined) {
    return {
      ...base,
      seen: `iptables-legacy has counted it meanwhile: table filter, rule "${first}"`,
      cure: first.startsWith('-P')
        ? `iptables-legacy ${first.replace(/ DROP$/, ' ACCEPT')}, or the member firewall in the CNI configuration, which lets pods through`
        : `iptables-legacy ${first.replace(/^-A/, '-D')}, or have its owner let this through`,
    };
  }
  const { tables } = legacy.after;
  const where =
    tables.length === 0
      ? ''
      : `; tables ${tables.join(', ')} of iptables-legacy, whose rules nobody reports, are in use`;
  return {
    ...base,
    seen: `it ends ${PLACES[stage]}, and no rule of nftables dropped it${where}`,
    cure:
      tables.length === 0
        ? 'what is left are tc filters, eBPF programs and XFRM policies: tc filter show, bpftool net, ip xfrm policy'
        : 'iptables-legacy-save -c before and after tells whose counter has grown',
  };
}

const PLACES: Readonly<Record<Stage, string>> = {
  untracked: 'before it left this node as one of a connection',
  tracking: 'before or in connection tracking',
  prerouting: 'between connection tracking and the routing',
  forward: 'at the forward hook',
  afterForward: 'behind the forward hook, as a packet that is larger than the way does',
  input: 'at the input hook',
  output: 'at the output hook',
  postrouting: 'at the postrouting hook',
};

/** It left, and nothing came back. */
function silenceCauses({ outcome, probed }: Seen): readonly Cause[] {
  if (!('destination' in outcome) || outcome.port === undefined) return [];
  const place = formatHostPort(outcome.destination, outcome.port);
  const base = { direction: 'reply', effect: 'drops' } as const;
  switch (probed?.answer) {
    case 'answers':
      return [
        {
          ...base,
          id: 'endpoint-silent',
          seen: `${place} answers this node, but nothing came back for the packet from ${outcome.source}`,
          cure: `look at the way from the endpoint to ${outcome.source}: routes, policies and rp_filter where it is`,
        },
      ];
    case 'refuses':
      return [notListening(outcome.destination, outcome.port, REFUSALS[probed.protocol])];
    case 'unreachable':
      return [
        {
          ...base,
          id: 'endpoint-silent',
          seen: `${place} is not reached from this node either: nobody has the address, or its node is down`,
          cure: 'kubectl get pods -o wide tells whether it runs; weft status how the fabric reaches its node',
        },
      ];
    case 'silent':
      return [
        {
          ...base,
          id: 'endpoint-silent',
          seen: `${place} answers nobody: neither this packet nor this node`,
          cure: 'look whether the pod runs, and at rules and policies where it is',
        },
      ];
    default:
      return [];
  }
}

/** RST or ICMP of the endpoint. */
function refusalCauses({ outcome, reply }: Seen): readonly Cause[] {
  if (reply?.kind !== 'refused' && reply?.kind !== 'unreachable') return [];
  if (!('destination' in outcome) || outcome.port === undefined) return [];
  return [
    notListening(
      outcome.destination,
      outcome.port,
      reply.kind === 'refused' ? REFUSALS.tcp : REFUSALS.udp,
    ),
  ];
}

const REFUSALS = { tcp: 'RST', udp: 'an ICMP error' } as const;

function notListening(ip: IP, port: number, how: string): Cause {
  return {
    ...{ id: 'not-listening', effect: 'refuses', direction: 'reply' },
    seen: `${formatHostPort(ip, port)} answers ${how}: nothing listens there`,
    cure: `have the program in the pod listen at port ${port} of all its addresses, or correct targetPort of the Service`,
  };
}
