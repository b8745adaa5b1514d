/** How soon an installed weft has answered: the time of bare Node beside it, CPU time of both. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { askAgent } from '../../src/agent/debug/client.ts';
import { readBootId } from '../../src/cni/machine.ts';
import { openRecords } from '../../src/cni/upkeep/records.ts';
import { INSTALL_ROOT, WEFT_BINARY } from '../support/cluster.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { startIn } from '../support/workloads.ts';
import { recordOf } from '../unit/agent/debug/lists/facts.ts';

const NODE = join(INSTALL_ROOT, 'opt/weft/bin/node');
const PODS = 250;
const ROUNDS = 11;
/** Measured: 1.9 with an agent and 2.3 without; all of weft loaded: 12. */
const MOST_TIMES = 3.5;
const MOST_ANSWER_MS = 20;

let node: TestNetns;
let directory: string;
let runDir: string;
let end: () => Promise<unknown>;

beforeAll(async () => {
  node = createNetns('start');
  directory = mkdtempSync(join(tmpdir(), 'weft-start-'));
  runDir = join(directory, 'run');
  const records = openRecords(join(runDir, 'attachments'), { bootId: readBootId, now: () => 1 });
  for (let i = 0; i < PODS; i++) {
    const { bootId: _, createdAtMs: __, ...entry } = recordOf(`c${i}`, `shop/p-${i}`, ['10.0.0.1']);
    records.write(entry);
  }
  const settings = { components: ['proxy'], nodeName: 'node-a', manifests: directory, runDir };
  const config = join(directory, 'weft.json');
  writeFileSync(config, JSON.stringify({ ...settings, stateDir: join(directory, 'state') }));
  const agent = await startIn(
    node.path,
    [WEFT_BINARY, 'agent', '--config', config],
    'services and endpoints read',
  );
  end = () => agent.end();
});

afterAll(async () => {
  await end();
  node.remove();
  rmSync(directory, { recursive: true });
});

/** User and system time of a command and what it starts, ms. */
function cpuMs(...command: readonly string[]): number {
  const script = 'TIMEFORMAT="%U %S"; time "$@" >/dev/null 2>&1';
  const { stderr } = node.attempt('bash', ['-c', script, 'bash', ...command]);
  return 1000 * stderr.split(/\s+/).reduce((sum, text) => sum + Number(text), 0);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

test.each([
  { line: 'status', where: 'run' },
  { line: 'services', where: 'run' },
  { line: 'completion --names pods', where: 'run' },
  { line: 'status', where: 'nobody' },
])('weft $line --run-dir $where', ({ line, where }) => {
  const words = [...line.split(' '), '--run-dir', join(directory, where)];
  const rounds = Array.from({ length: ROUNDS }, () => {
    return { bare: cpuMs(NODE, '-e', '0'), weft: cpuMs(WEFT_BINARY, ...words) };
  });
  const bare = median(rounds.map((round) => round.bare));
  const weft = median(rounds.map((round) => round.weft));
  expect(bare).toBeGreaterThan(5);
  expect(weft / bare).toBeLessThan(MOST_TIMES);
});

test('the agent has answered soon', async () => {
  const times: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const startedAt = performance.now();
    await askAgent(runDir, { command: 'status' });
    times.push(performance.now() - startedAt);
  }
  expect(Math.min(...times)).toBeLessThan(MOST_ANSWER_MS);
});
