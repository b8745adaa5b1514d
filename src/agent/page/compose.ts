import { inTurns } from '../../util/turns.ts';
import type { ExplainAnswer } from '../debug/explain.ts';
import { explainText } from '../debug/explain-text.ts';
import { listPods, podsByAddress } from '../debug/lists/pods.ts';
import { serviceDetail } from '../debug/lists/services.ts';
import type { ServiceDetail } from '../debug/lists/values.ts';
import { explainQuestion } from '../debug/questions/explain.ts';
import type { DebugSubjects } from '../debug/subjects.ts';
import { byName } from './by-name.ts';
import { denialsOf } from './denials.ts';
import { findingsOf } from './findings.ts';
import { nodeOf } from './node.ts';
import { peersOf } from './peers.ts';
import { podsOf } from './pods.ts';
import { packetOf } from './question.ts';
import { RateMeter, totalOf } from './rates.ts';
import { serviceOf } from './services.ts';
import { MOST_SERVICES, type UiService, type UiSnapshot } from './snapshot.ts';
import type { PageSource } from './source.ts';
import { findUplink } from './uplink.ts';

const EXPLAIN_TIMEOUT_MS = 10_000;

const sources = new WeakMap<DebugSubjects, PageSource>();

/** The page's data out of a running agent, read when somebody asks; whoever does shares what was measured. */
export function agentPage(subjects: DebugSubjects): PageSource {
  const known = sources.get(subjects);
  if (known !== undefined) return known;
  const source = openSource(subjects);
  sources.set(subjects, source);
  return source;
}

function openSource(subjects: DebugSubjects): PageSource {
  const meter = new RateMeter();
  return {
    snapshot: () => snapshotOf(subjects, meter),
    explain: async (question) => {
      const request = explainQuestion.parse({ packet: packetOf(question) });
      const signal = AbortSignal.timeout(EXPLAIN_TIMEOUT_MS);
      // The question of this command is answered with this shape.
      const answer = (await explainQuestion.answer(request, subjects, signal)) as ExplainAnswer;
      return { outcome: answer.outcome, text: explainText(answer) };
    },
    openFlows: (query) => subjects.flows.readers.open({ query, isFollowed: true }),
    moreFlows: (reader) => subjects.flows.readers.next(reader),
    endFlows: async (reader) => subjects.flows.readers.end(reader),
  };
}

async function snapshotOf(subjects: DebugSubjects, meter: RateMeter): Promise<UiSnapshot> {
  const { records, fabric, policy, checks } = subjects;
  const status = subjects.status();
  const listed = listPods({ records: records.list(), unfinished: [] }, {});
  const services = await servicesOf(subjects, meter);
  const peers = fabric?.peers() ?? [];
  const counts = { pods: listed.total, services: services.total, peers: peers.length };
  const { findings } = await checks.recent();
  return {
    node: nodeOf(status, findUplink(), counts),
    findings: findingsOf(findings, status),
    pods: podsOf(listed.items),
    services: services.items,
    peers: peersOf(peers, fabric?.paths() ?? []),
    denials: denialsOf(policy?.denied(0) ?? []),
  };
}

interface Services {
  readonly items: readonly UiService[];
  readonly total: number;
}

/** Both families of a Service together, by name; others have a turn while there are many. */
async function servicesOf(
  { proxy, records, context }: DebugSubjects,
  meter: RateMeter,
): Promise<Services> {
  if (proxy === undefined) return { items: [], total: 0 };
  const snapshots = proxy.snapshots();
  const keys = new Set<string>();
  for (const snapshot of snapshots.values()) {
    await inTurns(snapshot.services(), ([key]) => {
      keys.add(key);
    });
  }
  const pods = podsByAddress(records.list());
  const facts = { snapshots, counts: await proxy.counts(), podAt: pods.get.bind(pods) };
  const details: ServiceDetail[] = [];
  await inTurns([...keys].sort(byName).slice(0, MOST_SERVICES), (key) => {
    const detail = serviceDetail(key, facts);
    if (detail !== undefined) details.push(detail);
  });
  const totals = details.flatMap((detail) => {
    const total = totalOf(detail);
    return total === undefined ? [] : [[keyOf(detail), total] as const];
  });
  const rates = meter.update(new Map(totals), context.clock.elapsed());
  return {
    items: details.map((detail) => serviceOf(detail, rates.get(keyOf(detail)))),
    total: keys.size,
  };
}

function keyOf({ namespace, name }: ServiceDetail): string {
  return `${namespace}/${name}`;
}
