/** Watches or sends a packet, follows it and its answer, asks the endpoint, and says what the cause is. */
import { ipFamily } from '../../../../net/ip.ts';
import { isWithoutNftables } from '../../../../nftables/absence.ts';
import { NftablesConnection } from '../../../../nftables/connection.ts';
import type { TableFamily } from '../../../../nftables/model.ts';
import type { ModeName } from '../../../../proxy/modes/names.ts';
import type { Explanation } from '../../../../proxy/verdict/explanation.ts';
import type { Clock } from '../../../../util/clock.ts';
import { toError } from '../../../../util/errors.ts';
import type { PolicyOutcome } from '../../policy-outcome.ts';
import type { NodeFacts } from '../node-facts.ts';
import { wayOutcome } from '../outcome.ts';
import type { Way } from '../way.ts';
import { type LegacyView, readLegacy } from './legacy.ts';
import { liveCauses } from './live-causes.ts';
import { type LiveAnswer, readTrace } from './live-outcome.ts';
import { tracePacket } from './live-trace.ts';
import { readDestinations, readListener } from './mode-facts.ts';
import { type Read, readFlow, withModeSteps } from './mode-steps.ts';
import { type Probed, probe } from './probe.ts';
import { type Content, openSender, type Sender } from './send.ts';
import type { Traced } from './trace-table.ts';
import { trackedFlow, trackPacket } from './tracked.ts';

export interface LiveModel {
  readonly explanation: Explanation;
  readonly policies?: readonly PolicyOutcome[] | undefined;
  readonly ways: readonly Way[];
}

export interface LiveOptions {
  readonly timeoutMs: number;
  readonly mode: ModeName;
  /** Absent: a packet is waited for. */
  readonly content?: Content | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Undefined when no packet came in time. Throws WeftError where it cannot be sent or watched. */
export async function explainLive(
  model: LiveModel,
  node: NodeFacts,
  options: LiveOptions,
): Promise<LiveAnswer | undefined> {
  const { explanation, ways } = model;
  const { packet } = explanation;
  const { content } = options;
  const family = ipFamily(packet.source);
  const before = await readLegacy(family);
  const sender = content === undefined ? undefined : openSender(packet, node, content);
  const followed = await follow(model, sender, options);
  if (followed === undefined) return undefined;
  const { traced } = followed;
  const read = await withModeSteps(followed.read, followed.sourcePort, {
    ...{ mode: options.mode, explanation, policies: model.policies ?? [], ways, node },
    flowFrom: (sourcePort) => trackedFlow(packet, sourcePort),
    destinations: () => readDestinations(packet),
    listenerAt: readListener,
    ask: (place, protocol) => probe(place, protocol, options),
  });
  // What the model says of Services is not all that it says.
  const isSaid =
    ways.some((way) => wayOutcome(way) === 'dropped') && read.outcome.kind === 'dropped';
  const seen = isSaid ? { ...read, agreesWithModel: true } : read;
  const after = before.tables.length === 0 ? before : await readLegacy(family);
  const probed = await probeAnswer(seen, packet.protocol, options);
  const answer = probed === undefined ? seen : { ...seen, probed };
  return {
    ...answer,
    causes: liveCauses(answer, traced, {
      ...{ node, client: packet.source, places: ways.map(({ place }) => place.ip) },
      ...{ legacy: { before, after }, commentOf },
    }),
    unseen: [
      ...(followed.isTraced ? [] : [UNTRACED]),
      ...unseenOf(after, content !== undefined && node.podAt(packet.source) !== undefined),
    ],
  };
}

const UNTRACED =
  'this kernel has no nf_tables and reports no rules: what is said comes from connection tracking';

interface Followed {
  readonly read: Read;
  readonly traced: Traced;
  readonly isTraced: boolean;
  /** Of the client. */
  readonly sourcePort: number | undefined;
}

/** Through every table of the node, or where the kernel does not tell of them, by the connection that it makes. */
async function follow(
  { explanation, policies = [], ways }: LiveModel,
  sender: Sender | undefined,
  { timeoutMs, clock, signal }: LiveOptions,
): Promise<Followed | undefined> {
  const { packet } = explanation;
  const options = { ...{ clock, timeoutMs, signal }, sender };
  try {
    const places = ways.map(({ place }) => place);
    const traced = await tracePacket(packet, { ...options, places });
    const read = readTrace(traced, explanation, policies);
    const sourcePort = traced.request.find((event) => event.packet !== undefined)?.packet
      ?.sourcePort;
    return read && { read, traced, isTraced: true, sourcePort };
  } catch (thrown) {
    if (!isWithoutNftables(thrown)) throw thrown;
  }
  const tracked = await trackPacket(packet, options);
  if (tracked === undefined && sender === undefined) return undefined;
  const read = readFlow(tracked ?? 'unseen', { explanation, policies });
  const traced: Traced = { request: [], reply: [] };
  return { read, traced, isTraced: false, sourcePort: tracked?.flow.original.sourcePort };
}

/** Where an answer is missing or is a refusal. */
async function probeAnswer(
  { outcome, reply, probed }: Pick<LiveAnswer, 'outcome' | 'reply' | 'probed'>,
  protocol: Explanation['packet']['protocol'],
  { clock, signal }: LiveOptions,
): Promise<Probed | undefined> {
  if (probed !== undefined) return probed;
  if (protocol === 'sctp' || reply === undefined || reply?.kind === 'answered') return undefined;
  if (!('destination' in outcome) || outcome.port === undefined) return undefined;
  return await probe({ ip: outcome.destination, port: outcome.port }, protocol, { clock, signal });
}

function unseenOf({ tables }: LegacyView, isFromPod: boolean): readonly string[] {
  return [
    ...(tables.length === 0
      ? []
      : [
          `the kernel reports no rules of iptables-legacy (tables ${tables.join(', ')}): counters of table filter stand in`,
        ]),
    ...(isFromPod
      ? ["the packet was put on the pod's link: rules inside of the pod did not see it"]
      : []),
  ];
}

/** `ip filter`, the chain and a handle. */
function commentOf(table: string, chain: string, rule: string): string | undefined {
  const [family = '', name = ''] = table.split(' ');
  try {
    const connection = NftablesConnection.open();
    try {
      // The kernel has told this family.
      const rules = connection.rules({ family: family as TableFamily, name }, chain);
      return rules.find(({ handle }) => String(handle) === rule)?.comment;
    } finally {
      connection.close();
    }
  } catch (thrown) {
    // Who reads this may look for the rule; it is gone, or the table is.
    return `not to be read: ${toError(thrown).message}`;
  }
}
