/**
 * SIGKILL at random instants of an agent whose Services change all the time, and its restart: no
 * connection in flight may break, no new one may fail, and in the end the kernel must hold what a cold
 * start from the final objects writes. Then somebody flushes the ruleset, and the repair is timed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { netnses } from '../../src/kernel/netns.ts';
import type { Netns } from '../../src/kernel/types.ts';
import { createLogger } from '../../src/util/log.ts';
import type { RunningProgram } from '../support/workloads.ts';
import { AgentLab, anchors } from './agent-lab.ts';
import { type ColdStart, coldStart } from './cold-start.ts';
import type { KnockResult } from './knock.ts';
import { churnNode, settle } from './proxy-churn.ts';
import { randomStream } from './random.ts';
import { RandomCluster } from './random-cluster.ts';
import { differences, readContent, readRules, readSet } from './table-content.ts';

export interface KillOptions {
  readonly seed: number;
  readonly services: number;
  readonly seconds: number;
  readonly changesPerSecond: number;
  /** How often somebody flushes the ruleset, under load and without; 0: nobody ever meddles. */
  readonly repairs: number;
  /** Of the Services, those balanced by a source hash. */
  readonly hashedShare?: number;
}

export interface KillReport {
  readonly changes: number;
  readonly kills: number;
  /** What went wrong with connections that were open all the time. */
  readonly broken: readonly string[];
  /** New connections made meanwhile. */
  readonly knocks: KnockResult;
  readonly differences: readonly string[];
  /** From a flushed ruleset to the first Service's rules while others change, in milliseconds. */
  readonly busyRepairsMs: readonly number[];
  /** From a flushed ruleset to all of it back while nothing changes. */
  readonly repairsMs: readonly number[];
}

const STREAMS_PER_ANCHOR = 2;
const TICK_MS = 10;
const MOVE_EVERY_MS = 150;
/** Kills are apart by this and up to as much again: some hit a start, some a quiet agent. */
const LIFE_MS = 400;
/** The agent's shortest time between two syncs, and some more. */
const MIN_SYNC_MS = 1100;
const SETTLE_MS = 20_000;
const REPAIR_LIMIT_MS = 10_000;
const STREAM = new URL('../support/workloads/stream.ts', import.meta.url).pathname;
const KNOCK = new URL('knock.ts', import.meta.url).pathname;

export async function playAgentKills(options: KillOptions): Promise<KillReport> {
  const random = randomStream(options.seed);
  const cluster = new RandomCluster(options.services, random, options.hashedShare);
  const lab = await AgentLab.create(cluster, random);
  try {
    const streams = await openStreams(lab);
    const knocker = await lab.startClient(
      KNOCK,
      anchors.map(({ ip }) => `${ip}:80`),
    );
    const counts = await churn(lab, random, options);
    const broken = await closeStreams(streams);
    const knocks = await finishKnocking(knocker);
    // A flush makes the agent read and write everything anew: nothing is proven about what was before.
    const before = options.repairs === 0 ? [] : await deviationsOf(lab);
    const busyRepairsMs = options.repairs === 0 ? [] : await timeBusyRepairs(lab, options);
    const expected = await coldStartOf(lab);
    const left = await settle(async () => deviations(lab, expected), SETTLE_MS);
    const repairsMs = left.length === 0 ? await timeRepairs(lab, expected, options.repairs) : [];
    const leftThen = await settle(async () => deviations(lab, expected), SETTLE_MS);
    const found = [...before, ...left, ...leftThen];
    return { ...counts, broken, knocks, busyRepairsMs, differences: found, repairsMs };
  } finally {
    await lab.remove();
  }
}

/** What is left of differences once nothing changes any more. */
async function deviationsOf(lab: AgentLab): Promise<readonly string[]> {
  const expected = await coldStartOf(lab);
  return settle(async () => deviations(lab, expected), SETTLE_MS);
}

async function openStreams(lab: AgentLab): Promise<readonly RunningProgram[]> {
  const starts = anchors.flatMap(({ ip }) =>
    Array.from({ length: STREAMS_PER_ANCHOR }, () => lab.startClient(STREAM, [ip, '80'])),
  );
  return Promise.all(starts);
}

/** A stream prints `lost` whenever an answer is late and closes with what came back. */
async function closeStreams(streams: readonly RunningProgram[]): Promise<readonly string[]> {
  const broken: string[] = [];
  for (const stream of streams) {
    await stream.end();
    const lines = stream.output().trim().split('\n');
    broken.push(...lines.filter((line) => line.startsWith('lost')));
    const [, returned, sent] = /returned (\d+) of (\d+)/.exec(lines.at(-1) ?? '') ?? [];
    if (returned === undefined || returned !== sent || returned === '0') {
      broken.push(lines.at(-1) ?? 'silent');
    }
  }
  return broken;
}

async function finishKnocking(knocker: RunningProgram): Promise<KnockResult> {
  await knocker.end();
  // The program's last line is exactly this shape.
  return JSON.parse(knocker.output().trim().split('\n').at(-1) ?? '') as KnockResult;
}

async function churn(lab: AgentLab, random: () => number, options: KillOptions) {
  const startedAt = performance.now();
  let [changes, kills, moves, nextKillAt] = [0, 0, 0, LIFE_MS];
  for (;;) {
    const elapsedMs = performance.now() - startedAt;
    if (elapsedMs > options.seconds * 1000) return { changes, kills };
    for (; changes < (elapsedMs / 1000) * options.changesPerSecond; changes++) lab.changeOne();
    for (; moves * MOVE_EVERY_MS < elapsedMs; moves++) lab.moveAnchor();
    if (elapsedMs > nextKillAt) {
      await lab.killAgent();
      await lab.startAgent();
      kills++;
      nextKillAt = performance.now() - startedAt + LIFE_MS * (1 + random());
    }
    await sleep(TICK_MS);
  }
}

function deviations(lab: AgentLab, expected: ColdStart): readonly string[] {
  const netns = netnses.open(lab.node.path);
  try {
    return [
      ...differences(expected.rules, readRules(lab.node, expected.definitions)),
      ...differences(expected.content, readContent(netns, expected.definitions)),
    ];
  } finally {
    netns.close();
  }
}

/** From a flushed ruleset to the anchor's rules, while everything goes on changing. */
async function timeBusyRepairs(
  lab: AgentLab,
  { repairs, changesPerSecond }: KillOptions,
): Promise<readonly number[]> {
  const { definitions } = await coldStartOf(lab);
  const timer = setInterval(() => {
    for (let n = 0; n < (changesPerSecond * TICK_MS) / 1000; n++) lab.changeOne();
  }, TICK_MS);
  const anchor = ` ns/${anchors[0]?.name}:http`;
  try {
    return await timeFlushes(lab, repairs, (netns) =>
      definitions
        .filter(({ table }) => table.family === 'ip')
        .every((definition) =>
          readSet(netns, definition, 'service-ips').some((line) => line.endsWith(anchor)),
        ),
    );
  } finally {
    clearInterval(timer);
  }
}

/** From a flushed ruleset to the rules of all Services, which do not change meanwhile. */
function timeRepairs(
  lab: AgentLab,
  { definitions, content }: ColdStart,
  repairs: number,
): Promise<readonly number[]> {
  return timeFlushes(lab, repairs, (netns) =>
    definitions.every((definition) => {
      const wanted = content.get(`${definition.table.family} weft-proxy set service-ips`);
      return readSet(netns, definition, 'service-ips').join() === wanted?.join();
    }),
  );
}

async function timeFlushes(
  lab: AgentLab,
  repairs: number,
  isRepaired: (netns: Netns) => boolean,
): Promise<readonly number[]> {
  const times: number[] = [];
  const netns = netnses.open(lab.node.path);
  try {
    for (let n = 0; n < repairs; n++) {
      await sleep(MIN_SYNC_MS);
      lab.node.run('nft', 'flush', 'ruleset');
      const flushedAt = performance.now();
      const isLate = () => performance.now() - flushedAt > REPAIR_LIMIT_MS;
      while (!isRepaired(netns) && !isLate()) await sleep(2);
      times.push(isLate() ? Number.POSITIVE_INFINITY : performance.now() - flushedAt);
    }
  } finally {
    netns.close();
  }
  return times;
}

function coldStartOf(lab: AgentLab): Promise<ColdStart> {
  return coldStart(lab.cluster, churnNode, {
    hasNodeObjects: () => true,
    log: createLogger('fatal'),
  });
}
