/** The proxy's modes side by side: from objects to what is in the kernel, by the installed agent. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createNetns, type TestNetns } from '../support/netns.ts';
import {
  type AgentConfig,
  type BenchAgent,
  cpuWithChildrenMsOf,
  rssMiBOf,
  startAgent,
} from './proxy-agent.ts';
import type { ControlCase } from './proxy-cases.ts';
import type { ControlRun, ControlTools } from './proxy-control.ts';
import { apiFeed, type Feed } from './proxy-feeds.ts';

export interface Mode {
  readonly name: string;
  readonly config: AgentConfig;
  /** Its connections end with the agent. */
  readonly isInAgent?: boolean;
}

const CHANGES = 3;
/** Longer than the proxy's minSyncPeriod, so that every change finds it idle. */
const BETWEEN_CHANGES_MS = 1300;
const CHANGE_LIMIT_MS = 60_000;
const METRIC = 'kubeproxy_network_programming_duration_seconds';

export const nftablesMode: Mode = {
  name: 'weft nftables',
  config: { proxy: { mode: 'nftables' } },
};
export const iptablesModes: readonly Mode[] = (['nft', 'legacy'] as const).map(iptablesMode);
export const userspaceMode: Mode = {
  name: 'weft userspace',
  config: { proxy: { mode: 'userspace' } },
  isInAgent: true,
};
export const ipvsMode: Mode = {
  name: 'weft IPVS',
  config: { iptablesVariant: 'legacy', proxy: { mode: 'ipvs' } },
};

export function iptablesMode(iptablesVariant: 'nft' | 'legacy'): Mode {
  const config: AgentConfig = { iptablesVariant, proxy: { mode: 'iptables' } };
  return { name: `weft iptables-${iptablesVariant}`, config };
}

/** Start, changes and memory of one mode, its objects from an API server. */
export async function runModeCase(
  { directory }: Pick<ControlTools, 'directory'>,
  kind: ControlCase,
  { name, config }: Mode,
): Promise<ControlRun> {
  const home = join(directory, `mode-${performance.now()}`);
  const netns = createNetns('mode');
  let agent: BenchAgent | undefined;
  try {
    const feed = await apiFeed(home, kind, netns);
    agent = await startAgent(netns, home, feed, config);
    const { pid, liveMs } = agent;
    const cpuMs = cpuWithChildrenMsOf(pid);
    const changesMs = await moveEndpoints(netns, feed);
    await sleep(2000);
    return { case: kind.title, contender: name, liveMs, cpuMs, rssMiB: rssMiBOf(pid), changesMs };
  } finally {
    await agent?.end();
    netns.remove();
    rmSync(home, { recursive: true, force: true });
  }
}

/**
 * From the moved endpoint to the end of the commit, as the agent itself measures it: not every mode
 * has the kernel tell of its commits.
 */
async function moveEndpoints(netns: TestNetns, feed: Feed): Promise<readonly number[]> {
  const times: number[] = [];
  let before = programming(netns, -1);
  for (let round = 1; round <= CHANGES; round++) {
    await sleep(BETWEEN_CHANGES_MS);
    feed.move(round);
    const after = programming(netns, before.count);
    times.push((after.sumMs - before.sumMs) / (after.count - before.count));
    before = after;
  }
  return times;
}

/** Count and sum of the agent's measurements once there are more of them than `count`. */
function programming(
  netns: TestNetns,
  count: number,
): { readonly count: number; readonly sumMs: number } {
  const script = `
    const until = Date.now() + ${CHANGE_LIMIT_MS};
    while (Date.now() < until) {
      const text = await (await fetch('http://127.0.0.1:10249/metrics')).text();
      const valueOf = (end) => text.split('\\n')
        .filter((line) => line.startsWith('${METRIC}_' + end))
        .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
      const count = valueOf('count');
      if (count > ${count}) {
        console.log(count, valueOf('sum') * 1000);
        process.exit(0);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    process.exit(1);`;
  const { status, stdout } = netns.attempt(process.execPath, ['-e', script], 2 * CHANGE_LIMIT_MS);
  if (status !== 0) throw new Error(`a moved endpoint was not committed in ${CHANGE_LIMIT_MS} ms`);
  const [found = Number.NaN, sumMs = Number.NaN] = stdout.split(' ').map(Number);
  return { count: found, sumMs };
}
