import type { NodeRtnl } from '../../kernel/types.ts';
import { type Cidr, containsIP, prefixLength } from '../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily, isLoopback } from '../../net/ip.ts';
import type { TraceEvent } from '../../nftables/trace.ts';
import type { PolicyWorld } from '../../policy/world.ts';
import type { ModeName } from '../../proxy/modes/names.ts';
import type { ProxySnapshot } from '../../proxy/snapshot.ts';
import { decide } from '../../proxy/verdict/decide.ts';
import type { Explanation, Packet } from '../../proxy/verdict/explanation.ts';
import { MODE_TRAITS } from '../../proxy/verdict/mode-traits.ts';
import { worldOfPacket } from '../../proxy/verdict/world-of-packet.ts';
import { WeftError } from '../../util/errors.ts';
import { type LiveAnswer, readTrace } from './live-outcome.ts';
import { type NamedPacket, type NameSources, packetOf } from './named-packet.ts';
import { type PolicyOutcome, policyOutcomes } from './policy-outcome.ts';

/** What `weft explain` prints. */
export interface ExplainAnswer {
  readonly explanation: Explanation;
  /** What policies say of each place it may go to; absent where this agent enforces none. */
  readonly policies?: readonly PolicyOutcome[];
  /** What of the node makes the answer doubtful, in words. */
  readonly doubts?: readonly string[];
  /** Services with changes that are on their way to the kernel: the model is ahead of it. */
  readonly pending: number;
  /** With --live: what became of a packet; null when none came in time. */
  readonly live?: LiveAnswer | null;
}

/** What is asked about. */
export interface ExplainedPacket {
  readonly packet: Packet | NamedPacket;
  /** Wait for such a packet, and tell where it went. */
  readonly liveTimeoutMs: number | undefined;
}

export interface ExplainSources {
  /** Undefined: the agent runs without the policy component. */
  readonly policyWorld: (() => PolicyWorld) | undefined;
  readonly partyOf: NameSources['partyOf'];
  readonly snapshots: () => ReadonlyMap<IPFamily, ProxySnapshot>;
  readonly openRtnl: () => NodeRtnl;
  readonly mode: ModeName;
  /** Pods of this node that the CNI plugins masquerade, as records tell. */
  readonly podMasquerades: () => ReadonlyMap<IP, readonly Cidr[]>;
  readonly tracePacket: (
    packet: Packet,
    timeoutMs: number,
    signal: AbortSignal,
  ) => Promise<readonly TraceEvent[]>;
}

/** Answers what becomes of a connection, by the model and, if asked, by a real packet. */
export async function explain(
  { packet: asked, liveTimeoutMs }: ExplainedPacket,
  sources: ExplainSources,
  signal: AbortSignal,
): Promise<ExplainAnswer> {
  const snapshots = sources.snapshots();
  const { partyOf } = sources;
  const packet = 'from' in asked ? packetOf(asked, { partyOf, snapshots }) : asked;
  const snapshot = syncedSnapshot(snapshots, ipFamily(packet.destination));
  const rtnl = sources.openRtnl();
  let explanation: Explanation;
  try {
    const localAddresses = rtnl.addresses().map(({ address }) => address);
    const placed = withInterface(packet, snapshot, localAddresses, rtnl);
    const world = worldOfPacket(snapshot, placed, {
      localAddresses,
      traits: MODE_TRAITS[sources.mode],
      podMasquerades: sources.podMasquerades(),
    });
    explanation = decide(placed, world);
  } finally {
    rtnl.close();
  }
  const policies = sources.policyWorld && policyOutcomes(explanation, sources.policyWorld());
  const answer = {
    explanation,
    ...(policies === undefined ? {} : { policies }),
    pending: snapshot.pending.size,
  };
  if (liveTimeoutMs === undefined) return answer;
  const events = await sources.tracePacket(packet, liveTimeoutMs, signal);
  return { ...answer, live: readTrace(events, explanation, policies) ?? null };
}

/** The family's state; throws while there is nothing to reason from. */
export function syncedSnapshot(
  snapshots: ReadonlyMap<IPFamily, ProxySnapshot>,
  family: IPFamily,
): ProxySnapshot {
  const snapshot = snapshots.get(family);
  if (snapshot === undefined) {
    throw new WeftError('ENOENT', `this agent serves no Services over IPv${family}`);
  }
  if (!snapshot.isSynced) {
    throw new WeftError('EAGAIN', 'the agent has not read all Services yet; try again in a moment');
  }
  return snapshot;
}

/** Where pods are told by their interface: the one that the route back to the source leads to. */
function withInterface(
  packet: Packet,
  { family, settings }: ProxySnapshot,
  localAddresses: readonly IP[],
  rtnl: NodeRtnl,
): Packet {
  const { localDetector } = settings.layout;
  const isByInterface = localDetector !== undefined && localDetector.kind !== 'cidrs';
  const isLocal = isLoopback(packet.source) || localAddresses.includes(packet.source);
  if (!isByInterface || isLocal || packet.inInterface !== undefined) return packet;
  const route = rtnl
    .routes(family)
    .filter(({ destination }) => containsIP(destination, packet.source))
    .toSorted((a, b) => prefixLength(b.destination) - prefixLength(a.destination))[0];
  const link = route?.link === undefined ? undefined : rtnl.linkByIndex(route.link);
  return link === undefined ? packet : { ...packet, inInterface: link.name };
}
