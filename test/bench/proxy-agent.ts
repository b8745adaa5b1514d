/** The installed agent on a node of the bench, until its rules are in the kernel. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { WEFT_BINARY } from '../support/cluster.ts';
import type { TestNetns } from '../support/netns.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';
import { benchNode } from './kube-proxy-layout.ts';
import type { Feed } from './proxy-feeds.ts';

export interface BenchAgent {
  readonly pid: number;
  /** From its start to all rules in the kernel. */
  readonly liveMs: number;
  end(): Promise<unknown>;
}

const READY_MS = 180_000;
/** Of a clock tick in /proc/PID/stat. */
const TICK_MS = 10;

/** Starts it in a namespace, with its files in `home` and `more` in its configuration. */
export async function startAgent(
  netns: TestNetns,
  home: string,
  feed: Pick<Feed, 'config'>,
  more: AgentConfig = {},
): Promise<BenchAgent> {
  const config = join(home, 'weft.json');
  writeFileSync(config, JSON.stringify(agentConfig(home, feed, more)));
  const startedAt = performance.now();
  const command = [WEFT_BINARY, 'agent', '--config', config];
  const agent = await startIn(netns.path, command, undefined);
  try {
    await waitUntilHealthy(netns, agent);
  } catch (thrown) {
    await agent.end();
    throw thrown;
  }
  return { pid: agent.pid, liveMs: performance.now() - startedAt, end: () => agent.end() };
}

/** The part of the configuration that contenders differ in. */
export interface AgentConfig {
  readonly iptablesVariant?: 'nft' | 'legacy';
  readonly proxy?: object;
}

function agentConfig(home: string, feed: Pick<Feed, 'config'>, { proxy, ...own }: AgentConfig) {
  return {
    components: ['proxy'],
    nodeName: benchNode.nodeName,
    runDir: join(home, 'run'),
    stateDir: join(home, 'state'),
    ...own,
    proxy: { clusterCIDR: benchNode.podCIDR, ...proxy },
    ...feed.config,
  };
}

/** Polls from inside the namespace with one process, every 5 ms. */
async function waitUntilHealthy(netns: TestNetns, agent: RunningProgram): Promise<void> {
  const script = `
    const until = Date.now() + ${READY_MS};
    while (Date.now() < until) {
      const answer = await fetch('http://127.0.0.1:10256/healthz').catch(() => undefined);
      if (answer?.status === 200) process.exit(0);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    process.exit(1);`;
  const poller = await startIn(netns.path, [process.execPath, '-e', script], undefined);
  const ended = agent.ended.then(() => 'ended');
  if ((await Promise.race([poller.ended, ended])) === 0) return;
  await poller.end();
  throw new Error(`the agent did not become healthy: ${agent.output()}`);
}

export function rssMiBOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(status.match(/^VmRSS:\s+(\d+)/m)?.[1] ?? Number.NaN) / 1024;
}

/** CPU time of a process and of the programs it has run so far, to 10 ms. */
export function cpuWithChildrenMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // Behind the name, which may hold anything: utime, stime, cutime and cstime are 14 to 17.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * TICK_MS, 0);
}
