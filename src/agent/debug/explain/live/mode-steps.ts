/**
 * What a mode of the proxy does with a packet that no rule shows: the choice of IPVS, and the agent's relay. Pure but
 * for the facts, which are read as they are asked.
 */

import type { ObservedDestination } from '../../../../kernel/ipvs-types.ts';
import { formatHostPort } from '../../../../net/host-port.ts';
import type { IP } from '../../../../net/ip.ts';
import type { ModeName } from '../../../../proxy/modes/names.ts';
import type { Explanation } from '../../../../proxy/verdict/explanation.ts';
import { toError } from '../../../../util/errors.ts';
import type { PolicyOutcome } from '../../policy-outcome.ts';
import type { NodeFacts } from '../node-facts.ts';
import type { Place, Way } from '../way.ts';
import { agrees, type LiveAnswer, type LiveReply } from './live-outcome.ts';
import type { Probed } from './probe.ts';
import type { Tracked } from './tracked.ts';

/** What the reports say, before causes are looked for. */
export type Read = Omit<LiveAnswer, 'causes' | 'unseen'>;

/** Who listens at an address and port. */
export interface Holder {
  /** `nginx, pid 77` */
  readonly who: string;
  readonly isOurs: boolean;
}

export interface ModeFacts {
  readonly mode: ModeName;
  readonly explanation: Explanation;
  readonly policies: readonly PolicyOutcome[];
  readonly ways: readonly Way[];
  readonly node: NodeFacts;
  /** The connection of a packet from this port of the client. */
  readonly flowFrom: (sourcePort: number) => Tracked | undefined;
  /** Of the virtual server at the packet's destination; empty where there is none. Throws what IPVS does not tell. */
  readonly destinations: () => readonly ObservedDestination[];
  readonly listenerAt: (ip: IP, port: number, protocol: 'tcp' | 'udp') => Promise<Holder>;
  /** Asks an endpoint as the agent's relay does. */
  readonly ask: (place: Place, protocol: 'tcp' | 'udp') => Promise<Probed>;
}

/** `sourcePort` is the client's. */
export async function withModeSteps(
  read: Read,
  sourcePort: number | undefined,
  facts: ModeFacts,
): Promise<Read> {
  if (facts.explanation.verdict.kind === 'pass') return read;
  if (facts.mode === 'ipvs') return withServer(read, sourcePort, facts);
  return facts.mode === 'userspace' ? await withRelay(read, facts) : read;
}

/** What a tracked connection says; `unseen`: nothing was tracked of a packet that was sent. */
export function readFlow(
  tracked: Tracked | 'unseen',
  { explanation, policies }: Pick<ModeFacts, 'explanation' | 'policies'>,
): Read {
  const outcome: LiveAnswer['outcome'] =
    tracked === 'unseen' ? { kind: 'unknown', stage: 'untracked' } : leadOf(tracked);
  const read = { outcome, isNewConnection: true, steps: [] };
  const agreesWithModel = agrees(outcome, explanation, policies);
  if (tracked === 'unseen') return { ...read, agreesWithModel };
  return { ...read, agreesWithModel, reply: replyOf(tracked) };
}

/** As its packets leave the node: the answers' way turned round. */
function leadOf({ flow: { reply } }: Tracked) {
  const { source: destination, sourcePort: port, destination: source } = reply;
  return { kind: 'sent', destination, port, source } as const;
}

function replyOf({ flow, answer }: Tracked): LiveReply | null {
  if (answer === 'none') return null;
  const { source, destination, sourcePort } = flow.original;
  const outcome = {
    kind: 'sent',
    source: destination,
    destination: source,
    port: sourcePort,
  } as const;
  return { kind: answer, outcome, steps: [] };
}

/** IPVS takes packets at the input hook; connection tracking has what it made of them. */
function withServer(read: Read, sourcePort: number | undefined, facts: ModeFacts): Read {
  const { explanation, policies } = facts;
  const seen = { ...read, steps: [...read.steps, serverStep(facts)] };
  const judged = (outcome: LiveAnswer['outcome']) => {
    return read.isNewConnection ? agrees(outcome, explanation, policies) : undefined;
  };
  if (isRefusedHere(read, explanation.packet)) {
    const { destination: ip, port } = explanation.packet;
    const outcome = { kind: 'closed', ip, port } as const;
    return { ...seen, outcome, agreesWithModel: judged(outcome) };
  }
  const tracked = sourcePort === undefined ? undefined : facts.flowFrom(sourcePort);
  if (read.outcome.kind !== 'unknown' || tracked === undefined || !isLed(tracked)) return seen;
  const outcome = leadOf(tracked);
  const reply = read.reply ?? replyOf(tracked);
  return { ...seen, outcome, reply, agreesWithModel: judged(outcome) };
}

/** The node has the address and nobody listens there: the kernel resets what no virtual server takes. */
function isRefusedHere({ outcome, reply }: Read, { destination }: Explanation['packet']): boolean {
  return (
    'destination' in outcome && outcome.destination === destination && reply?.kind === 'refused'
  );
}

function isLed({ flow: { original, reply } }: Tracked): boolean {
  return reply.source !== original.destination || reply.sourcePort !== original.destinationPort;
}

/** `ipvs tcp 172.30.0.1:80 -> 10.1.0.3:8080 (weight 1, 2 active), 10.1.0.4:8080 (…)` */
function serverStep({ explanation, destinations }: ModeFacts): string {
  const { destination, protocol, port } = explanation.packet;
  const server = `ipvs ${protocol} ${formatHostPort(destination, port)}`;
  try {
    const found = destinations();
    if (found.length === 0) return `${server} -> no virtual server with destinations`;
    const named = found.slice(0, MOST_NAMED).map((each) => {
      return `${formatHostPort(each.ip, each.port)} (weight ${each.weight}, ${each.activeConnections} active)`;
    });
    const more = found.length > MOST_NAMED ? `, and ${found.length - MOST_NAMED} more` : '';
    return `${server} -> one of ${named.join(', ')}${more}`;
  } catch (thrown) {
    return `${server} -> not to be read: ${toError(thrown).message}`;
  }
}

const MOST_NAMED = 4;
/** Of a `Holder`. */
export const NOBODY = 'nobody';
/** The relay gives up after as many (src/proxy/modes/userspace/tcp-relay.ts). */
const MOST_TRIED = 4;

/** A process of this node takes the connection, and makes another one to an endpoint. */
async function withRelay(read: Read, facts: ModeFacts): Promise<Read> {
  const { outcome, reply } = read;
  const { explanation, node } = facts;
  const { protocol } = explanation.packet;
  if (!('destination' in outcome) || outcome.port === undefined || protocol === 'sctp') return read;
  const { destination: ip, port } = outcome;
  // Not one of ours: on its way to somebody else.
  if (!node.localAddresses.includes(ip)) return read;
  const listener = await facts.listenerAt(ip, port, protocol);
  const at = formatHostPort(ip, port);
  const steps = [...read.steps, `${listener.who} listens at ${at}`];
  const isRefused = reply?.kind === 'refused' || reply?.kind === 'unreachable';
  const { verdict } = explanation;
  const isReset = listener.isOurs && verdict.kind === 'reset';
  if (isRefused || isReset || listener.who === NOBODY) {
    const closed = { kind: 'closed', ip, port } as const;
    return { ...read, steps, outcome: closed, agreesWithModel: verdict.kind !== 'dnat' };
  }
  if (!listener.isOurs) {
    return { ...read, steps, agreesWithModel: false, heldBy: `${listener.who} listens at ${at}` };
  }
  return await withHop({ ...read, steps }, at, protocol, facts);
}

async function withHop(
  read: Read,
  at: string,
  protocol: 'tcp' | 'udp',
  { ways, node, ask, explanation, policies }: ModeFacts,
): Promise<Read> {
  const steps = [...read.steps];
  let last: Probed | undefined;
  for (const { place } of ways.slice(0, MOST_TRIED)) {
    last = await ask(place, protocol);
    steps.push(`the agent, from ${at} -> ${formatHostPort(last.ip, last.port)} ${last.answer}`);
    if (isTaken(last)) break;
  }
  if (last === undefined) return { ...read, steps };
  const route = node.askRoute({ destination: last.ip });
  const source = (route.kind === 'sent' ? route.route.source : undefined) ?? last.ip;
  const outcome = { kind: 'sent', source, destination: last.ip, port: last.port } as const;
  const agreesWithModel = read.isNewConnection ? agrees(outcome, explanation, policies) : undefined;
  const seen = { ...read, steps, outcome, agreesWithModel, probed: last };
  if (isTaken(last)) return seen;
  // After the last endpoint the client is reset.
  const { reply } = read;
  return reply ? { ...seen, reply: { ...reply, kind: 'refused' } } : seen;
}

/** Who answers a datagram without content? */
function isTaken({ answer, protocol }: Probed): boolean {
  return answer === 'answers' || (protocol === 'udp' && answer === 'silent');
}
