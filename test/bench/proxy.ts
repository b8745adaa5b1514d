/**
 * proxy.ts [JSON]: the installed agent with 0, 1,000 and 10,000 Services of 5 endpoints: from start
 * to /healthz 200 (all rules in the kernel), memory, and the time to commit one changed endpoint.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WEFT_BINARY } from '../support/cluster.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';
import { writeServiceFile, writeServices } from './services.ts';
import { table } from './statistics.ts';

const DEADLINE_MS = 120_000;

interface Outcome {
  readonly services: number;
  readonly readyMs: number;
  readonly rssMiB: number;
  readonly commitMs: number;
}

const [jsonFile] = process.argv.slice(2);
const directory = mkdtempSync(join(tmpdir(), 'weft-bench-'));
const outcomes: Outcome[] = [];
try {
  for (const services of [0, 1000, 10_000]) outcomes.push(await run(services));
} finally {
  rmSync(directory, { recursive: true });
}
console.log(
  table(
    ['Services x 5', 'start to live, ms', 'RSS MiB', 'one endpoint, commit ms'],
    outcomes.map(({ services, readyMs, rssMiB, commitMs }) => [
      String(services),
      readyMs.toFixed(0),
      rssMiB.toFixed(0),
      Number.isNaN(commitMs) ? '-' : commitMs.toFixed(1),
    ]),
  ),
);
if (jsonFile !== undefined) writeFileSync(jsonFile, JSON.stringify(outcomes, undefined, 2));

async function run(services: number): Promise<Outcome> {
  console.error(`${services} Services`);
  const home = join(directory, String(services));
  const manifests = join(home, 'manifests');
  mkdirSync(manifests, { recursive: true });
  writeServices(manifests, services);
  const netns = createNetns('bench');
  let agent: RunningProgram | undefined;
  try {
    const flags = ['--components', 'proxy', '--manifests', manifests, '--node-name', 'bench'];
    const command = [WEFT_BINARY, 'agent', ...flags, '--run-dir', join(home, 'run')];
    const startedAt = performance.now();
    agent = await startIn(netns.path, command, undefined);
    await waitUntilHealthy(netns);
    const readyMs = performance.now() - startedAt;
    const commitMs = services === 0 ? Number.NaN : await changeOne(netns, manifests);
    await sleep(2000);
    return { services, readyMs, rssMiB: rssOf(agent.pid), commitMs };
  } finally {
    await agent?.end();
    netns.remove();
  }
}

/** Polls from inside the namespace with one process, every 2 ms. */
async function waitUntilHealthy(netns: TestNetns): Promise<void> {
  const script = `
    const until = Date.now() + ${DEADLINE_MS};
    while (Date.now() < until) {
      const answer = await fetch('http://127.0.0.1:10256/healthz').catch(() => undefined);
      if (answer?.status === 200) process.exit(0);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    process.exit(1);`;
  const poller = await startIn(netns.path, [process.execPath, '-e', script], undefined);
  if ((await poller.ended) !== 0) throw new Error('the agent did not become healthy in time');
}

/** Seconds that the partial syncs took, from the agent's own histogram. */
async function changeOne(netns: TestNetns, manifests: string): Promise<number> {
  const rounds = 10;
  const before = syncSeconds(netns);
  for (let round = 1; round <= rounds; round++) {
    writeServiceFile(manifests, { first: 0, round });
    await sleep(1300);
  }
  const after = syncSeconds(netns);
  return ((after.sum - before.sum) / Math.max(1, after.count - before.count)) * 1000;
}

function syncSeconds(netns: TestNetns): { readonly sum: number; readonly count: number } {
  const script = `process.stdout.write(await (await fetch('http://127.0.0.1:10249/metrics')).text())`;
  const text = netns.run(process.execPath, '--input-type=module', '-e', script);
  const read = (part: string) => {
    const name = `kubeproxy_sync_partial_proxy_rules_duration_seconds_${part}`;
    return Number(text.match(new RegExp(`^${name}\\{ip_family="IPv4"\\} (.*)$`, 'm'))?.[1] ?? 0);
  };
  return { sum: read('sum'), count: read('count') };
}

function rssOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(status.match(/^VmRSS:\s+(\d+)/m)?.[1] ?? Number.NaN) / 1024;
}
