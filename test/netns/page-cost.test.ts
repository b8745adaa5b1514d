/** What an agent with a page costs while nobody looks: its CPU time beside that of one without, apart from the rest. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WEFT_BINARY } from '../support/cluster.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { until } from '../support/until.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';

const SERVICES = 1_000;
const PORT = 8474;
/** Until what a start leaves to be done is done. */
const SETTLE_MS = 8_000;
const MEASURE_MS = 12_000;
/** Of one CPU. */
const MOST_SHARE = 0.01;
/** Of Linux for user space (USER_HZ). */
const JIFFY_MS = 10;

let directory: string;
const agents: { readonly node: TestNetns; readonly program: RunningProgram }[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weft-page-cost-'));
  const objects = join(directory, 'objects');
  mkdirSync(objects);
  writeFileSync(
    join(objects, 'services.json'),
    JSON.stringify({ apiVersion: 'v1', kind: 'List', items: services() }),
  );
  for (const uiBindAddress of ['', String(PORT)]) {
    const node = createNetns('page');
    const runDir = join(directory, `run${uiBindAddress}`);
    const stateDir = join(directory, `state${uiBindAddress}`);
    const settings = { components: ['proxy'], nodeName: 'a', manifests: objects, uiBindAddress };
    const config = join(directory, `weft${uiBindAddress}.json`);
    writeFileSync(config, JSON.stringify({ ...settings, runDir, stateDir }));
    const command = [WEFT_BINARY, 'agent', '--config', config];
    const program = await startIn(node.path, command, 'services and endpoints read');
    agents.push({ node, program });
  }
}, 60_000);

afterAll(async () => {
  for (const { node, program } of agents) {
    await program.end();
    node.remove();
  }
  rmSync(directory, { recursive: true });
});

function services() {
  return Array.from({ length: SERVICES }, (_, i) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'shop', name: `s${i}` },
    spec: {
      ...{ clusterIP: `172.30.${i >> 8}.${i & 255}`, clusterIPs: [`172.30.${i >> 8}.${i & 255}`] },
      ...{ ipFamilies: ['IPv4'], ports: [{ protocol: 'TCP', port: 80 }] },
    },
  }));
}

/** User and system time of an agent so far, ms. */
function cpuMs({ program }: { readonly program: RunningProgram }): number {
  // Behind the name, which may hold anything.
  const [, rest = ''] = /^.*\) (.*)/s.exec(readFileSync(`/proc/${program.pid}/stat`, 'utf8')) ?? [];
  const fields = rest.split(' ');
  return JIFFY_MS * (Number(fields[11]) + Number(fields[12]));
}

test('nobody looks any more: at most 1 % of one CPU more than without a page', async () => {
  // Who watches goes without a word: its process ends.
  const look = `
    const { services } = await (await fetch('http://127.0.0.1:${PORT}/api/snapshot')).json();
    const { body } = await fetch('http://127.0.0.1:${PORT}/api/events');
    await body.getReader().read();
    process.stdout.write(String(services.length), () => process.exit());`;
  await until('the page is served', () => {
    const { stdout } = agents[1]?.node.attempt(process.execPath, [
      '--input-type=module',
      '-e',
      look,
    ]) ?? { stdout: '' };
    return stdout === String(SERVICES);
  });
  await wait(SETTLE_MS);
  const before = agents.map(cpuMs);
  await wait(MEASURE_MS);
  const [without = 0, withPage = 0] = agents.map((agent, i) => cpuMs(agent) - (before[i] ?? 0));
  expect((withPage - without) / MEASURE_MS).toBeLessThan(MOST_SHARE);
}, 60_000);
