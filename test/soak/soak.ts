/**
 * A day's work of a busy node in minutes: afterwards the agent has the descriptors that it had before,
 * and no more memory.
 */
import { join } from 'node:path';
import { randomStream } from '../faults/random.ts';
import { RandomCluster } from '../faults/random-cluster.ts';
import { createNetns } from '../support/netns.ts';
import { until } from '../support/until.ts';
import { startIn } from '../support/workloads.ts';
import { addAndDelete, askAgent, askCni } from './asking.ts';
import { type Holdings, SoakAgent } from './soak-agent.ts';

/** What ten minutes are for. */
const FULL = { cni: 40_000, agent: 40_000, pods: 2_000, scrapes: 20_000, changes: 20_000 };
const FULL_MINUTES = 10;
/** Before the first look: caches fill, code is compiled, the heap finds its size. */
const WARM_UP = 0.25;
const MOST_GROWTH_BYTES = 8 << 20;
const SERVICES = 200;
const PARALLEL_PODS = 8;
const CHANGES_AT_ONCE = 100;
const SCRAPER = new URL('../support/workloads/scraper.ts', import.meta.url).pathname;

type Counts = typeof FULL;

export interface SoakPhase {
  readonly name: string;
  readonly seconds: number;
  /** Anonymous memory after it, against what it was after the warm-up. */
  readonly grownBytes: number;
}

export interface SoakReport {
  readonly phases: readonly SoakPhase[];
  readonly problems: readonly string[];
}

/** Takes about so many minutes; the counts are those of ten minutes in proportion. */
export async function soak(minutes: number, seed: number): Promise<SoakReport> {
  const cluster = new RandomCluster(SERVICES, randomStream(seed));
  const pods = Array.from({ length: PARALLEL_PODS }, () => createNetns('soakpod'));
  const agent = await SoakAgent.start(cluster.fill());
  try {
    const counts = scaled(FULL, minutes / FULL_MINUTES);
    const works = worksOf(agent, cluster, pods);
    for (const { run } of works) await run(scaled(counts, WARM_UP));
    const before = await agent.holdings();
    const phases: SoakPhase[] = [];
    for (const { name, run } of works) {
      const startedAt = performance.now();
      await run(counts);
      const seconds = (performance.now() - startedAt) / 1000;
      const grownBytes = (await agent.holdings()).bytes - before.bytes;
      phases.push({ name: name(counts), seconds, grownBytes });
    }
    return { phases, problems: [...(await differences(agent, before)), ...warningsOf(agent)] };
  } finally {
    await agent.remove();
    for (const pod of pods) pod.remove();
  }
}

function worksOf(
  agent: SoakAgent,
  cluster: RandomCluster,
  pods: Parameters<typeof addAndDelete>[0]['pods'],
): readonly {
  readonly name: (counts: Counts) => string;
  readonly run: (counts: Counts) => Promise<void>;
}[] {
  const { node, runDir, dataDir } = agent;
  return [
    {
      name: ({ cni }) => `${cni} calls to cni.sock`,
      run: ({ cni }) => askCni(join(runDir, 'cni.sock'), cni),
    },
    {
      name: ({ agent: questions }) => `${questions} questions to agent.sock`,
      run: ({ agent: questions }) => askAgent(join(runDir, 'agent.sock'), questions),
    },
    {
      name: ({ pods: count }) => `${count} ADDs and DELs`,
      run: ({ pods: count }) => addAndDelete({ node, pods, runDir, dataDir }, count),
    },
    {
      name: ({ scrapes }) => `${scrapes} scrapes`,
      run: ({ scrapes }) => scrape(agent, scrapes),
    },
    {
      name: ({ changes }) => `${changes} changes of objects`,
      run: ({ changes }) => change(agent, cluster, changes),
    },
  ];
}

async function scrape({ node }: SoakAgent, count: number): Promise<void> {
  const urls = ['10249/metrics', '10256/healthz'].map((place) => `http://127.0.0.1:${place}`);
  const command = [process.execPath, SCRAPER, String(count), ...urls];
  const scraper = await startIn(node.path, command, undefined);
  await scraper.ended;
  if (scraper.output().trim() !== String(count)) throw new Error(`scrapes: ${scraper.output()}`);
}

async function change(agent: SoakAgent, cluster: RandomCluster, count: number): Promise<void> {
  for (let done = 0; done < count; done += CHANGES_AT_ONCE) {
    const part = Math.min(CHANGES_AT_ONCE, count - done);
    await agent.change(Array.from({ length: part }, () => cluster.next()));
  }
}

/** Kept connections close by themselves; nothing else may be left. */
async function differences(agent: SoakAgent, before: Holdings): Promise<readonly string[]> {
  const isAsBefore = async () =>
    text((await agent.holdings()).descriptors) === text(before.descriptors);
  const areEqual = await until('the descriptors are those of before', isAsBefore).catch(
    () => false,
  );
  const after = await agent.holdings();
  const grownBytes = after.bytes - before.bytes;
  return [
    ...(areEqual
      ? []
      : [`descriptors: ${text(before.descriptors)}, then ${text(after.descriptors)}`]),
    ...(grownBytes <= MOST_GROWTH_BYTES
      ? []
      : [`memory: ${mib(before.bytes)}, then ${mib(after.bytes)}`]),
  ];
}

function warningsOf({ log }: SoakAgent): readonly string[] {
  return log
    .split('\n')
    .filter((line) => line.includes('"level":"error"'))
    .slice(0, 5);
}

function scaled(counts: Counts, factor: number): Counts {
  const of = (count: number) => Math.max(1, Math.round(count * factor));
  const { cni, agent, pods, scrapes, changes } = counts;
  return {
    ...{ cni: of(cni), agent: of(agent), pods: of(pods) },
    ...{ scrapes: of(scrapes), changes: of(changes) },
  };
}

function text(descriptors: Holdings['descriptors']): string {
  return Object.entries(descriptors)
    .toSorted(([one], [other]) => one.localeCompare(other))
    .map(([kind, count]) => `${count} ${kind}`)
    .join(', ');
}

/** For people. */
export function mib(bytes: number): string {
  return `${(bytes / (1 << 20)).toFixed(1)} MiB`;
}
