/**
 * policy.ts [ROUNDS] [DIRECTORY] [quick]: policies of a node with 1,000 pods: a start without table, single
 * changes; packets and connections against nodes without policies, in turns in one run; connections that
 * are revoked. Prints tables and writes policy.json to DIRECTORY.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile } from './compile.ts';
import { measurePolicyCold } from './policy-cold.ts';
import { measurePolicyData } from './policy-data.ts';
import { measureRevocation } from './policy-revoked.ts';
import { changeTable, coldTable, dataTable, revocationTable } from './policy-tables.ts';
import type { BenchSize } from './policy-world.ts';

const SIZES: readonly BenchSize[] = [
  { localPods: 1000, remotePods: 0, policies: 100 },
  { localPods: 1000, remotePods: 4000, policies: 100 },
];
const EVENTS = 300;
const QUICK_EVENTS = 60;

const [rounds = '3', resultDirectory = 'bench-results', quick] = process.argv.slice(2);
const directory = mkdtempSync(join(tmpdir(), 'weft-bench-'));
try {
  await run(Number(rounds));
} finally {
  rmSync(directory, { recursive: true });
}

async function run(count: number): Promise<void> {
  const events = quick === undefined ? EVENTS : QUICK_EVENTS;
  const cold = [];
  for (const size of SIZES) cold.push(await measurePolicyCold(size, { events, rounds: count }));
  const [size] = SIZES;
  if (size === undefined) throw new Error('no size');
  const revoked = await measureRevocation(count);
  const [flows, packets] = [compile(directory, 'flows'), compile(directory, 'packets')];
  const data = await measurePolicyData({ flows, packets, rounds: count, size });
  const machine = {
    ...{ cpus: cpus().length, model: cpus()[0]?.model, kernel: release() },
    load: loadavg()[0],
  };
  const tables = [coldTable(cold), changeTable(cold), dataTable(data), revocationTable(revoked)];
  console.log(`\n${tables.join('\n\n')}`);
  mkdirSync(resultDirectory, { recursive: true });
  const results = { machine, rounds: count, cold, data, revoked };
  writeFileSync(join(resultDirectory, 'policy.json'), JSON.stringify(results, undefined, 2));
  console.log(`\nwritten to ${resultDirectory}: policy.json`);
}
