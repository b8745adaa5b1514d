/** What the kernel's reports say of a packet: where it went, or where it ended. Pure. */
import type { IP } from '../../../../net/ip.ts';
import type { TraceEvent } from '../../../../nftables/trace.ts';
import type { TracedPacket } from '../../../../nftables/traced-packet.ts';
import { CHAIN } from '../../../../proxy/modes/nftables/chain-names.ts';
import type { Explanation, Packet } from '../../../../proxy/verdict/explanation.ts';
import type { PolicyOutcome } from '../../policy-outcome.ts';
import type { Cause } from '../cause.ts';
import type { Probed } from './probe.ts';
import {
  endOfTrace,
  isTraceChain,
  NEW_CHAIN,
  TRACE_TABLE_PREFIX,
  type TraceChain,
  type Traced,
} from './trace-table.ts';

const PROXY_TABLE = 'weft-proxy';
const POLICY_TABLE = 'weft-policy';
/** Of modes iptables and ipvs, in table filter. */
const REFUSING_CHAIN = /^KUBE-(SERVICES|EXTERNAL-SERVICES|NODEPORTS|PROXY-FIREWALL|IPVS-)/;

/**
 * Between which chains of ours nothing is reported any more, by what is there in the kernel. `untracked`: nothing
 * is reported at all, and the packet has not left as one of a connection.
 */
export type Stage =
  | 'untracked'
  | 'tracking'
  | 'prerouting'
  | 'forward'
  | 'afterForward'
  | 'input'
  | 'output'
  | 'postrouting';

/** Where a packet really went. */
export type LiveOutcome =
  | {
      readonly kind: 'sent' | 'delivered';
      readonly source: IP;
      readonly destination: IP;
      readonly port: number | undefined;
    }
  | {
      /**
       * `refused` by our reject chain, `denied` by policies; what others reject looks like a drop.
       */
      readonly kind: 'refused' | 'denied' | 'dropped';
      /** `ip weft-proxy` */
      readonly table: string;
      readonly chain: string;
      /** Absent: the chain's policy. */
      readonly rule?: string;
    }
  | {
      /** Mode userspace: the kernel refuses at an address of the Service, or the agent resets. */
      readonly kind: 'closed';
      readonly ip: IP;
      readonly port: number;
    }
  | { readonly kind: 'unknown'; readonly stage: Stage };

/** What came back: an answer, a reset, an ICMP error, or that a link on the way passes only less. */
export type ReplyKind = 'answered' | 'refused' | 'unreachable' | 'tooBig';

export interface LiveReply {
  readonly kind: ReplyKind;
  readonly outcome: LiveOutcome;
  /** It comes from another address than the client has asked. */
  readonly isUntranslated?: true;
  readonly steps: readonly string[];
}

export interface LiveAnswer {
  readonly outcome: LiveOutcome;
  /** False when the packet belongs to a connection that was there before. */
  readonly isNewConnection: boolean;
  /** Undefined where the model says nothing about it. */
  readonly agreesWithModel: boolean | undefined;
  /** `ip weft-proxy services -> goto n3`, in order. */
  readonly steps: readonly string[];
  /** Null: none came while it was waited for; absent: none is to be expected. */
  readonly reply?: LiveReply | null;
  /** Mode userspace: who listens in the agent's place. */
  readonly heldBy?: string;
  /** What keeps it from its way, or its answer. */
  readonly causes: readonly Cause[];
  /** How the endpoint answers this node. */
  readonly probed?: Probed;
  /** What this way of looking does not show. */
  readonly unseen: readonly string[];
}

/** What these events say; undefined without any of the packet itself. */
export function readTrace(
  { request, reply }: Traced,
  explanation: Explanation,
  policies: readonly PolicyOutcome[] = [],
): Omit<LiveAnswer, 'causes' | 'unseen'> | undefined {
  const [first] = request;
  if (first === undefined) return undefined;
  const outcome = outcomeOf(request);
  const isTracked = passedChains(request).some((chain) => /-(out-)?tracked$/.test(chain));
  const isNew = request.some(({ verdict }) => verdict === `jump ${NEW_CHAIN}`);
  // Of one that did not get as far as that nobody knows.
  const isNewConnection = isNew || !isTracked;
  const answered = replyOf(reply, explanation.packet);
  const awaits = outcome.kind === 'sent' || outcome.kind === 'delivered';
  return {
    outcome,
    isNewConnection,
    agreesWithModel: isNewConnection ? agrees(outcome, explanation, policies) : undefined,
    steps: stepsOf(request),
    ...(answered === undefined ? (awaits ? { reply: null } : {}) : { reply: answered }),
  };
}

/** Names of our chains that a packet has passed, in order. */
function passedChains(events: readonly TraceEvent[]): readonly TraceChain[] {
  return events
    .filter(({ table }) => table.startsWith(TRACE_TABLE_PREFIX))
    .map(({ chain }) => chain)
    .filter(isTraceChain);
}

function replyOf(events: readonly TraceEvent[], asked: Packet): LiveReply | undefined {
  const packet = events.find((event) => event.packet !== undefined)?.packet;
  if (packet === undefined) return undefined;
  const kind = replyKind(packet);
  const outcome = outcomeOf(events);
  // An ICMP error comes from whoever has found it.
  const isOfServer = kind === 'answered' || kind === 'refused';
  const isOther = 'source' in outcome && outcome.source !== asked.destination;
  return {
    ...{ kind, outcome, steps: stepsOf(events) },
    ...(isOfServer && isOther ? { isUntranslated: true } : {}),
  };
}

const RST = 4;
const ICMP = 1;

function replyKind({ protocol, tcpFlags = 0, icmp }: TracedPacket): ReplyKind {
  if (icmp !== undefined) return isTooBig(protocol, icmp) ? 'tooBig' : 'unreachable';
  return (tcpFlags & RST) === 0 ? 'answered' : 'refused';
}

/** Fragmentation needed (RFC 792), packet too big (RFC 4443). */
function isTooBig(protocol: number, { type, code }: NonNullable<TracedPacket['icmp']>): boolean {
  return protocol === ICMP ? type === 3 && code === 4 : type === 2;
}

function outcomeOf(events: readonly TraceEvent[]): LiveOutcome {
  const last = endOfTrace(events);
  if (last === undefined) return { kind: 'unknown', stage: stageOf(passedChains(events)) };
  if (last.verdict === 'drop') {
    return {
      kind: refusalOf(last),
      table: `${last.family} ${last.table}`,
      chain: last.chain,
      ...(last.kind === 'rule' && last.ruleHandle !== undefined
        ? { rule: String(last.ruleHandle) }
        : {}),
    };
  }
  const packet = events.findLast((event) => event.packet !== undefined)?.packet;
  if (packet === undefined) return { kind: 'unknown', stage: 'postrouting' };
  const { source, destination, destinationPort: port } = packet;
  const kind = last.chain === 'weft-trace-delivered' ? 'delivered' : 'sent';
  return { kind, source, destination, port };
}

/** Behind the last of our chains that has seen it. */
const STAGES: Readonly<Partial<Record<TraceChain, Stage>>> = {
  'weft-trace-in': 'tracking',
  'weft-trace-out': 'tracking',
  'weft-trace-tracked': 'prerouting',
  'weft-trace-out-tracked': 'output',
  'weft-trace-out-end': 'output',
  'weft-trace-input': 'input',
  'weft-trace-forward': 'forward',
  'weft-trace-forwarded': 'afterForward',
  'weft-trace-leaving': 'postrouting',
};

function stageOf(passed: readonly TraceChain[]): Stage {
  const last = passed.at(-1);
  return (last === undefined ? undefined : STAGES[last]) ?? 'prerouting';
}

function refusalOf({ table, chain }: TraceEvent): 'refused' | 'denied' | 'dropped' {
  if (table === POLICY_TABLE) return 'denied';
  if (table === PROXY_TABLE && chain === CHAIN.reject) return 'refused';
  return table === 'filter' && REFUSING_CHAIN.test(chain) ? 'refused' : 'dropped';
}

/** Of a denied packet only its end is known, not which of several endpoints it was for. */
export function agrees(
  outcome: LiveOutcome,
  explanation: Explanation,
  policies: readonly PolicyOutcome[],
): boolean | undefined {
  if (outcome.kind === 'denied') return policies.some(({ isAllowed }) => !isAllowed);
  const reached = policies.find(
    ({ ip, port }) =>
      'destination' in outcome && ip === outcome.destination && port === outcome.port,
  );
  return reached?.isAllowed === false ? false : agreesWithProxy(outcome, explanation);
}

function agreesWithProxy(
  outcome: LiveOutcome,
  { packet, decisions, verdict }: Explanation,
): boolean | undefined {
  if (outcome.kind === 'unknown') {
    // What rules refuse or drop is never tracked; what passes is.
    if (outcome.stage !== 'untracked') return undefined;
    return verdict.kind === 'pass' ? undefined : verdict.kind !== 'dnat';
  }
  switch (verdict.kind) {
    case 'reject':
      return outcome.kind === 'refused' || outcome.kind === 'closed';
    case 'reset':
      return outcome.kind === 'dropped' || outcome.kind === 'closed';
    case 'drop':
      return outcome.kind === 'dropped';
    case 'pass':
      return outcome.kind === 'sent' || outcome.kind === 'delivered' ? true : undefined;
    case 'dnat': {
      if (!('destination' in outcome)) return false;
      const { destination, port, source } = outcome;
      const chosen = verdict.candidates.find((one) => one.ip === destination && one.port === port);
      if (chosen === undefined) return false;
      const isRemembered = decisions.some(({ kind }) => kind === 'affinity');
      if (chosen.probability === 0 && !isRemembered) return false;
      // The node's own address may be what it would be replaced by.
      const isOfNode = decisions.some((step) => step.kind === 'origin' && step.origin === 'node');
      if (isOfNode && chosen.isMasqueraded) return true;
      return chosen.isMasqueraded === (source !== packet.source);
    }
  }
}

/** Chains of the trace table are how we know, not what happened. */
function stepsOf(events: readonly TraceEvent[]): readonly string[] {
  return events
    .filter(({ table, kind }) => !table.startsWith(TRACE_TABLE_PREFIX) && kind !== 'return')
    .map(({ family, table, chain, kind, verdict }) => {
      const what = kind === 'policy' ? `policy ${verdict}` : verdict;
      return `${family} ${table} ${chain} -> ${what}`;
    });
}
