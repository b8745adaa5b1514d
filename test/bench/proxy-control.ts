/** The control path: from objects to rules, by the agent, by the proxy alone and by kube-proxy's layout. */
import { execFile } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { netnses } from '../../src/kernel/netns.ts';
import { watchTables } from '../../src/nftables/monitor.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { cpuMsOf } from './contenders.ts';
import { benchNode, endpointSync, fullSync, KUBE_PROXY_TABLE } from './kube-proxy-layout.ts';
import { type BenchAgent, rssMiBOf, startAgent } from './proxy-agent.ts';
import { type ControlCase, changingService, unchangingServices } from './proxy-cases.ts';
import { apiFeed, type Feed, manifestFeed } from './proxy-feeds.ts';
import type { InProcessTimes } from './proxy-in-process.ts';

/** One contender's run on one case; NaN for what it has no figure of. */
export interface ControlRun {
  readonly case: string;
  readonly contender: string;
  /** From the start to all rules in the kernel; Infinity when it hit LAYOUT_LIMIT_S. */
  readonly liveMs: number;
  /** CPU until then. */
  readonly cpuMs: number;
  readonly rssMiB: number;
  /** From a moved endpoint to the commit, one per change. */
  readonly changesMs: readonly number[];
}

export interface ControlTools {
  readonly directory: string;
  /** measure.c, built. */
  readonly measure: string;
}

export const LAYOUT_LIMIT_S = 120;
const CHANGES = 5;
/** Longer than the proxy's minSyncPeriod, so that every change finds it idle. */
const BETWEEN_CHANGES_MS = 1300;
const CHANGE_LIMIT_MS = 30_000;
const IN_PROCESS = new URL('proxy-in-process.ts', import.meta.url).pathname;
const execute = promisify(execFile);

/** The installed agent, its objects from a directory of manifests or from an API server. */
export async function runAgentCase(
  tools: ControlTools,
  kind: ControlCase,
  source: 'manifests' | 'apiServer',
): Promise<ControlRun> {
  const home = join(tools.directory, `control-${performance.now()}`);
  const netns = createNetns('bench');
  let agent: BenchAgent | undefined;
  try {
    const feed =
      source === 'manifests' ? manifestFeed(home, kind) : await apiFeed(home, kind, netns);
    agent = await startAgent(netns, home, feed);
    const { liveMs } = agent;
    const cpuMs = cpuMsOf(agent.pid);
    const changesMs = kind.services === 0 ? [] : await moveEndpoints(netns, feed);
    await sleep(2000);
    const rssMiB = rssMiBOf(agent.pid);
    return { case: kind.title, contender: feed.name, liveMs, cpuMs, rssMiB, changesMs };
  } finally {
    await agent?.end();
    netns.remove();
    rmSync(home, { recursive: true, force: true });
  }
}

/** The proxy's own work, in a process that has the objects already. */
export async function runInProcessCase(kind: ControlCase): Promise<ControlRun> {
  const netns = createNetns('bench');
  try {
    const words = [netns.path, kind.services, kind.endpoints, CHANGES].map(String);
    const { stdout } = await execute(process.execPath, [IN_PROCESS, ...words]);
    // The program prints exactly this shape.
    const times = JSON.parse(stdout) as InProcessTimes;
    const unknown = { cpuMs: Number.NaN, rssMiB: Number.NaN };
    return { case: kind.title, contender: 'weft, in process', ...unknown, ...times };
  } finally {
    netns.remove();
  }
}

/**
 * kube-proxy's layout, loaded by nft alone. kube-proxy lists its table before each sync, so there are
 * two rows: the change itself, and the change as kube-proxy v1.36 does it.
 */
export async function runLayoutCase(
  tools: ControlTools,
  kind: ControlCase,
): Promise<readonly ControlRun[]> {
  const netns = createNetns('bench');
  try {
    const cluster = [changingService(kind, 0), ...unchangingServices(kind)];
    const load = await runNft(tools, netns, fullSync(cluster, benchNode), ['-f', '-']);
    const start = { liveMs: load.wallMs, cpuMs: load.cpuMs, rssMiB: load.peakMiB };
    const changesMs: number[] = [];
    const listedMs: number[] = [];
    for (let round = 1; round <= CHANGES && Number.isFinite(load.wallMs); round++) {
      const list = await runNft(tools, netns, '', [
        '-j',
        '-t',
        'list',
        'table',
        ...KUBE_PROXY_TABLE,
      ]);
      const [before, after] = [changingService(kind, round - 1), changingService(kind, round)];
      const text = endpointSync(before, after, benchNode);
      const { wallMs } = await runNft(tools, netns, text, ['-f', '-']);
      changesMs.push(wallMs);
      listedMs.push(wallMs + list.wallMs);
    }
    return [
      { case: kind.title, contender: 'kube-proxy layout', ...start, changesMs },
      { case: kind.title, contender: 'the same, listed first', ...start, changesMs: listedMs },
    ];
  } finally {
    netns.remove();
  }
}

/** From the moved endpoint to the notification of the kernel's commit. */
async function moveEndpoints(node: TestNetns, feed: Feed): Promise<readonly number[]> {
  let committed = Promise.withResolvers<void>();
  const netns = netnses.open(node.path);
  const watch = watchTables(netns, () => committed.resolve());
  const times: number[] = [];
  try {
    for (let round = 1; round <= CHANGES; round++) {
      await sleep(BETWEEN_CHANGES_MS);
      committed = Promise.withResolvers<void>();
      const movedAt = performance.now();
      feed.move(round);
      await Promise.race([committed.promise, lateCommit()]);
      times.push(performance.now() - movedAt);
    }
  } finally {
    watch.close();
    netns.close();
  }
  return times;
}

async function lateCommit(): Promise<never> {
  await sleep(CHANGE_LIMIT_MS, undefined, { ref: false });
  throw new Error(`a moved endpoint was not committed within ${CHANGE_LIMIT_MS} ms`);
}

async function runNft(
  tools: ControlTools,
  netns: TestNetns,
  input: string,
  args: readonly string[],
) {
  const file = join(tools.directory, 'nft-stdin');
  writeFileSync(file, input);
  const nft = ['timeout', '-s', 'KILL', String(LAYOUT_LIMIT_S), 'nft', ...args];
  const command = [`--net=${netns.path}`, tools.measure, file, '/dev/null', '/usr/bin/env', ...nft];
  const { stdout } = await execute('nsenter', command);
  const [status, wallNs = 0, cpuUs = 0, rssKiB = 0] = stdout.trim().split(' ').map(Number);
  // What `timeout` ends with after SIGKILL.
  const isLate = status === 137;
  if (status !== 0 && !isLate) throw new Error(`nft ${args.join(' ')}: exit ${status}`);
  if (isLate) return { wallMs: Number.POSITIVE_INFINITY, cpuMs: Number.NaN, peakMiB: Number.NaN };
  return { wallMs: wallNs / 1e6, cpuMs: cpuUs / 1e3, peakMiB: rssKiB / 1024 };
}
