/** Watches or sends a packet, follows it and its answer, asks the endpoint, and says what the cause is. */
import { ipFamily } from '../../../../net/ip.ts';
import { NftablesConnection } from '../../../../nftables/connection.ts';
import type { TableFamily } from '../../../../nftables/model.ts';
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
import { type Probed, probe } from './probe.ts';
import { type Content, openSender } from './send.ts';

export interface LiveModel {
  readonly explanation: Explanation;
  readonly policies?: readonly PolicyOutcome[] | undefined;
  readonly ways: readonly Way[];
}

export interface LiveOptions {
  readonly timeoutMs: number;
  /** Absent: a packet is waited for. */
  readonly content?: Content | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Undefined when no packet came in time. Throws WeftError where it cannot be sent or watched. */
export async function explainLive(
  { explanation, policies, ways }: LiveModel,
  node: NodeFacts,
  options: LiveOptions,
): Promise<LiveAnswer | undefined> {
  const { packet } = explanation;
  const { timeoutMs, content, clock, signal } = options;
  const family = ipFamily(packet.source);
  const before = await readLegacy(family);
  const traced = await tracePacket(packet, {
    ...{ clock, timeoutMs, signal },
    places: ways.map(({ place }) => place),
    sender: content === undefined ? undefined : openSender(packet, node, content),
  });
  const read = readTrace(traced, explanation, policies);
  if (read === undefined) return undefined;
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
    unseen: unseenOf(after, content !== undefined && node.podAt(packet.source) !== undefined),
  };
}

/** Where an answer is missing or is a refusal. */
async function probeAnswer(
  { outcome, reply }: Pick<LiveAnswer, 'outcome' | 'reply'>,
  protocol: Explanation['packet']['protocol'],
  { clock, signal }: LiveOptions,
): Promise<Probed | undefined> {
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
