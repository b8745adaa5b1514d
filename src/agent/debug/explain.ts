import type { Cidr } from '../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily, isLoopback, tryParseIP } from '../../net/ip.ts';
import type { PolicyWorld } from '../../policy/world.ts';
import type { ModeName } from '../../proxy/modes/names.ts';
import type { ProxySnapshot } from '../../proxy/snapshot.ts';
import { decide } from '../../proxy/verdict/decide.ts';
import type { Explanation, Packet } from '../../proxy/verdict/explanation.ts';
import { MODE_TRAITS } from '../../proxy/verdict/mode-traits.ts';
import { worldOfPacket } from '../../proxy/verdict/world-of-packet.ts';
import { toError, WeftError } from '../../util/errors.ts';
import type { FilterTable } from '../foreign/drops.ts';
import type { Cause } from './explain/cause.ts';
import { endpointCauses, originCauses } from './explain/cluster-causes.ts';
import { foreignCauses } from './explain/foreign-causes.ts';
import type { LiveModel, LiveOptions } from './explain/live/live.ts';
import type { LiveAnswer } from './explain/live/live-outcome.ts';
import type { Content } from './explain/live/send.ts';
import type { OpenNode } from './explain/open-node.ts';
import { liveOutcome, modelOutcome, type Outcome } from './explain/outcome.ts';
import { type MetHostPort, placesOf } from './explain/places.ts';
import { type Way, wayTo } from './explain/way.ts';
import { type NamedPacket, type NamedParty, packetOf } from './named-packet.ts';
import { type PolicyOutcome, policyOutcomes } from './policy-outcome.ts';

/** What `weft explain` prints. */
export interface ExplainAnswer {
  readonly explanation: Explanation;
  /** How people call both ends, where they have names. */
  readonly names?: { readonly from?: string; readonly to?: string };
  /** A port that a pod has on this node. */
  readonly hostPort?: MetHostPort;
  /** No Service, but the CNI plugins or the fabric replace the client's address. */
  readonly isPodMasquerade?: true;
  /** What policies say of each place it may go to; absent where this agent enforces none. */
  readonly policies?: readonly PolicyOutcome[];
  /** To each place it may go to and back; the first few. */
  readonly ways: readonly Way[];
  /** What of the node or the cluster keeps packets from their way, and is no rule of ours. */
  readonly causes: readonly Cause[];
  /** What of the node makes the answer doubtful, in words. */
  readonly doubts?: readonly string[];
  /** Services with changes that are on their way to the kernel: the model is ahead of it. */
  readonly pending: number;
  /** With --live: what became of a packet; null when none came in time. */
  readonly live?: LiveAnswer | null;
  readonly outcome: Outcome;
}

/** What is asked about. */
export interface ExplainedPacket {
  readonly packet: Packet | NamedPacket;
  /** Wait for such a packet, and tell where it went. */
  readonly liveTimeoutMs: number | undefined;
  /** Send it, with this content, instead of waiting. */
  readonly content?: Content | undefined;
}

export interface ExplainSources {
  /** Undefined: the agent runs without the policy component. */
  readonly policyWorld: (() => PolicyWorld) | undefined;
  readonly partyOf: (name: string, node: OpenNode) => NamedParty | undefined;
  readonly snapshots: () => ReadonlyMap<IPFamily, ProxySnapshot>;
  readonly openNode: () => OpenNode;
  readonly mode: ModeName;
  /** Pods of this node that the CNI plugins masquerade, as records tell. */
  readonly podMasquerades: () => ReadonlyMap<IP, readonly Cidr[]>;
  /** Of others, that may drop packets. Throws what cannot be read. */
  readonly filterTables: () => Promise<readonly FilterTable[]>;
  readonly wait: (ms: number) => Promise<void>;
  /** Undefined when no packet came in time. */
  readonly explainLive: (
    model: LiveModel,
    node: OpenNode,
    options: Pick<LiveOptions, 'timeoutMs' | 'content' | 'signal'>,
  ) => Promise<LiveAnswer | undefined>;
}

/** Answers what becomes of a connection, by the model and, if asked, by a real packet. */
export async function explain(
  { packet: asked, liveTimeoutMs, content }: ExplainedPacket,
  sources: ExplainSources,
  signal: AbortSignal,
): Promise<ExplainAnswer> {
  if (liveTimeoutMs !== undefined) await untilInKernel(sources, signal);
  const node = sources.openNode();
  try {
    const model = await withForeignRules(explainByModel(asked, sources, node), sources);
    const cannotSend = content !== undefined && model.causes.some(keepsFromSending);
    if (liveTimeoutMs === undefined || cannotSend) return model;
    const options = { timeoutMs: liveTimeoutMs, content, signal };
    const live = (await sources.explainLive(model, node, options)) ?? null;
    return { ...model, live, outcome: live === null ? model.outcome : liveOutcome(model, live) };
  } finally {
    node.close();
  }
}

const SETTLE_MS = 3_000;
const LOOK_MS = 100;

/** A packet is compared with rules that are there; of changes that do not get there the answer tells. */
async function untilInKernel(
  { snapshots, wait }: ExplainSources,
  signal: AbortSignal,
): Promise<void> {
  const arePending = () => [...snapshots().values()].some(({ pending }) => pending.size > 0);
  for (let waitedMs = 0; waitedMs < SETTLE_MS && arePending(); waitedMs += LOOK_MS) {
    if (signal.aborted) return;
    await wait(LOOK_MS);
  }
}

/** A pod without a way out, or without a namespace to send from. */
function keepsFromSending({ id, direction }: Cause): boolean {
  return direction === 'request' && (id === 'pod-route' || id === 'pod-netns');
}

type ModelAnswer = Omit<ExplainAnswer, 'live'>;

/** What cannot be read makes the answer doubtful. */
async function withForeignRules(
  model: ModelAnswer,
  { filterTables }: ExplainSources,
): Promise<ModelAnswer> {
  try {
    const tables = await filterTables();
    const { explanation, policies } = model;
    const met = model.ways.map((way) => foreignCauses(tables, explanation.packet, way));
    const ways = model.ways.map((way, at) => ({
      ...way,
      causes: [...way.causes, ...(met[at] ?? [])],
    }));
    const outcome = modelOutcome({ explanation, policies, ways });
    return { ...model, ways, causes: [...model.causes, ...met.flat()], outcome };
  } catch (thrown) {
    const doubt = `rules of others are not known: ${toError(thrown).message}`;
    return { ...model, doubts: [...(model.doubts ?? []), doubt] };
  }
}

function explainByModel(
  asked: ExplainedPacket['packet'],
  sources: ExplainSources,
  node: OpenNode,
): ModelAnswer {
  const snapshots = sources.snapshots();
  const packet = packetAsked(asked, snapshots, sources, node);
  const snapshot = syncedSnapshot(snapshots, ipFamily(packet.destination));
  const placed = withInterface(packet, snapshot, node);
  const podMasquerades = sources.podMasquerades();
  const explanation = decide(
    placed,
    worldOfPacket(snapshot, placed, {
      localAddresses: node.localAddresses,
      traits: MODE_TRAITS[sources.mode],
      podMasquerades,
    }),
  );
  const { localAddresses, hostPorts } = node;
  const met = placesOf(explanation, { localAddresses, hostPorts, podMasquerades });
  const policies = sources.policyWorld && policyOutcomes(explanation, sources.policyWorld());
  const ways = met.places.map((place) => wayTo(placed, place, node));
  const names = namesOf(asked, placed, node);
  return {
    explanation,
    ...(names === undefined ? {} : { names }),
    ...(met.hostPort === undefined ? {} : { hostPort: met.hostPort }),
    ...(met.isPodMasquerade ? { isPodMasquerade: true } : {}),
    ...(policies === undefined ? {} : { policies }),
    ways,
    causes: [
      ...endpointCauses(explanation, snapshot),
      ...originCauses(explanation, snapshot, node),
      ...ways.flatMap(({ causes }) => causes),
    ],
    pending: snapshot.pending.size,
    outcome: modelOutcome({ explanation, policies, ways }),
  };
}

/** A name of this node is the address that it sends such packets from. */
function packetAsked(
  asked: ExplainedPacket['packet'],
  snapshots: ReadonlyMap<IPFamily, ProxySnapshot>,
  { partyOf }: ExplainSources,
  node: OpenNode,
): Packet {
  if (!('from' in asked)) return asked;
  const packet = packetOf(asked, { partyOf: (name) => partyOf(name, node), snapshots });
  if (tryParseIP(asked.from) !== undefined || !node.localAddresses.includes(packet.source)) {
    return packet;
  }
  const answer = node.askRoute({ destination: packet.destination });
  const source = answer.kind === 'sent' ? answer.route.source : undefined;
  return source === undefined ? packet : { ...packet, source };
}

function namesOf(
  asked: ExplainedPacket['packet'],
  { source, destination }: Packet,
  { podAt }: OpenNode,
): ExplainAnswer['names'] {
  const named = 'from' in asked ? asked : undefined;
  const nameOf = (text: string | undefined, ip: IP) =>
    text === undefined || tryParseIP(text) !== undefined ? podAt(ip)?.name : text;
  const [from, to] = [nameOf(named?.from, source), nameOf(named?.to, destination)];
  if (from === undefined && to === undefined) return undefined;
  return { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
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
function withInterface(packet: Packet, { settings }: ProxySnapshot, node: OpenNode): Packet {
  const { localDetector } = settings.layout;
  const isByInterface = localDetector !== undefined && localDetector.kind !== 'cidrs';
  const isLocal = isLoopback(packet.source) || node.localAddresses.includes(packet.source);
  if (!isByInterface || isLocal || packet.inInterface !== undefined) return packet;
  const back = node.askRoute({ destination: packet.source });
  const index = back.kind === 'sent' ? back.route.link : undefined;
  const link = index === undefined ? undefined : node.linkByIndex(index);
  return link === undefined ? packet : { ...packet, inInterface: link.name };
}
