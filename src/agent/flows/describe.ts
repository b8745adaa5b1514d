/** Connections, refusals and denials as events: pure. */
import type { Connection } from '../../kernel/connections.ts';
import { IPS_SEEN_REPLY } from '../../proxy/conntrack/frontends.ts';
import type { ToldDenial } from '../policy/denials.ts';
import type { FlowEvent, FlowParty, FlowVerdict } from './flow-event.ts';
import type { FlowNames } from './flow-names.ts';
import type { Refusal } from './refusal.ts';

/** Names of IP protocol numbers, as policies and objects have them. */
const PROTOCOL_NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'ICMP'],
  [6, 'TCP'],
  [17, 'UDP'],
  [58, 'ICMP'],
  [132, 'SCTP'],
]);
const PROTOCOL_NUMBERS: ReadonlyMap<string, number> = new Map(
  [...PROTOCOL_NAMES].toReversed().map(([number, name]) => [name, number]),
);
const TCP = 6;
/** TCP_CONNTRACK_CLOSE */
const TCP_CLOSE = 8;

export function protocolName(number: number): string {
  return PROTOCOL_NAMES.get(number) ?? `IP ${number}`;
}

/** `nowMs` is when it was told. */
export function connectionEvent(
  kind: 'live' | 'new' | 'end',
  connection: Connection,
  names: FlowNames,
  nowMs: number,
): FlowEvent {
  const { flow, sent, received, startedAtMs, endedAtMs } = connection;
  const { protocol, original, reply } = flow;
  const atMs = kind === 'end' ? (endedAtMs ?? nowMs) : nowMs;
  const event: Mutable<FlowEvent> = {
    kind,
    at: timeText(atMs),
    protocol: protocolName(protocol),
    from: names.party(original.source, original.sourcePort),
    to: names.target(original.destination, original.destinationPort, protocol),
    verdict: verdictOf(kind, connection),
  };
  if (reply.source !== original.destination || reply.sourcePort !== original.destinationPort) {
    event.endpoint = names.party(reply.source, reply.sourcePort);
  }
  if (reply.destination !== original.source || reply.destinationPort !== original.sourcePort) {
    event.masqueraded = names.party(reply.destination, reply.destinationPort);
  }
  if (sent !== undefined) event.sent = sent;
  if (received !== undefined) event.received = received;
  if (startedAtMs !== undefined) {
    event.startedAt = timeText(startedAtMs);
    event.durationMs = Math.max(0, atMs - startedAtMs);
  }
  return event;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

const MS_PER_SECOND = 1_000;
const MOST_SECONDS = 64;
/** Beginnings of times, by second: those of one moment share a few. */
const seconds = new Map<number, string>();

/** RFC 3339 with milliseconds. */
function timeText(ms: number): string {
  const second = Math.floor(ms / MS_PER_SECOND);
  let text = seconds.get(second);
  if (text === undefined) {
    if (seconds.size >= MOST_SECONDS) seconds.clear();
    text = new Date(second * MS_PER_SECOND).toISOString().slice(0, -'000Z'.length);
    seconds.set(second, text);
  }
  return `${text}${String(Math.floor(ms - second * MS_PER_SECOND)).padStart(3, '0')}Z`;
}

/**
 * A connection whose first answer is a RST is forgotten at once, before the answer is noted
 * (nf_conntrack_tcp_packet).
 */
function verdictOf(
  kind: 'live' | 'new' | 'end',
  { flow, received, tcpState }: Connection,
): FlowVerdict {
  if ((flow.status & IPS_SEEN_REPLY) !== 0) return 'established';
  if (kind === 'new') return 'begun';
  const isReset = flow.protocol === TCP && tcpState === TCP_CLOSE && received?.packets !== 0;
  return isReset ? 'refused' : 'unanswered';
}

/** A packet that this node has answered in place of whoever was meant. */
export function refusalEvent(refusal: Refusal, names: FlowNames, nowMs: number): FlowEvent {
  const { protocol, source, destination, sourcePort, destinationPort, answer } = refusal;
  const to = names.target(destination, destinationPort, protocol);
  const [verdict, reason] = refusalVerdict(to, answer, names.isOwn(destination));
  return {
    kind: 'refused',
    at: timeText(nowMs),
    protocol: protocolName(protocol),
    from: names.party(source, sourcePort),
    to,
    verdict,
    reason,
  };
}

function refusalVerdict(
  { service, ip }: FlowParty,
  answer: Refusal['answer'],
  isOwn: boolean,
): readonly [FlowVerdict, string] {
  if (answer === 'unreachable') {
    return ['unreachable', `no route to ${ip}, or nobody there answers for the address`];
  }
  if (service !== undefined)
    return ['no endpoint', `Service ${service} has no endpoint that is ready`];
  if (isOwn) return ['refused', 'nobody listens on this node'];
  return ['rejected', 'a rule of this node rejects it'];
}

/** What the log of denied packets tells; who opened it is not on record, only its port. */
export function denialEvent(denial: ToldDenial, names: FlowNames): FlowEvent {
  const { at, fromIP, toIP, port, protocol, policies, reason, packets } = denial;
  const number = PROTOCOL_NUMBERS.get(protocol) ?? 0;
  return {
    kind: 'denied',
    at,
    protocol,
    from: { ...names.party(fromIP, undefined), ...podOf(denial.from) },
    to: {
      ...names.target(toIP, port === 0 ? undefined : port, number),
      ...podOf(denial.to),
    },
    verdict: 'denied',
    policies,
    reason,
    attempts: packets,
  };
}

/** Policies know pods of other nodes. */
function podOf(name: string): Pick<FlowParty, 'pod'> {
  const isPod = name.includes('/') && !name.startsWith('node/');
  return isPod ? { pod: name } : {};
}
