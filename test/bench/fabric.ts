/**
 * fabric.ts [ROUNDS] [DIRECTORY]: the fabric against `ip` and `bridge` that do the same, in turns in one
 * run: start with 49 to 5,000 peers and none in the kernel, a second look, single events, memory; fifty
 * whole nodes at once; repairs; connections and throughput between pods of two nodes. Prints tables and
 * writes fabric.json to DIRECTORY.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile } from './compile.ts';
import { type ColdRow, measureCold } from './fabric-cold.ts';
import { measureFabricData } from './fabric-data.ts';
import { measureFifty } from './fabric-fifty.ts';
import { measureRepairs } from './fabric-repair.ts';
import {
  coldTable,
  fabricDataTable,
  fiftyTable,
  repairTable,
  unchangedTable,
} from './fabric-tables.ts';

const PEERS = [49, 1000, 5000];
/** Of each three: another address, gone, back. */
const EVENTS = 100;
const REPAIRS_PER_ROUND = 3;

const [rounds = '3', resultDirectory = 'bench-results'] = process.argv.slice(2);
const directory = mkdtempSync(join(tmpdir(), 'weft-bench-'));
try {
  await run(Number(rounds));
} finally {
  rmSync(directory, { recursive: true });
}

async function run(count: number): Promise<void> {
  const flows = compile(directory, 'flows');
  const cold: ColdRow[] = [];
  for (const peers of PEERS) {
    cold.push(await measureCold({ directory, peers, events: EVENTS, rounds: count }));
  }
  const fifty = await measureFifty(count);
  const repairs = await measureRepairs(count * REPAIRS_PER_ROUND);
  const data = await measureFabricData(flows, count);
  const machine = { cpus: cpus().length, model: cpus()[0]?.model, kernel: release() };
  const tables = [
    ...[coldTable(cold), unchangedTable(cold), fiftyTable(fifty), repairTable(repairs)],
    fabricDataTable(data),
  ];
  console.log(`\n${tables.join('\n\n')}`);
  mkdirSync(resultDirectory, { recursive: true });
  const results = { machine, rounds: count, cold, fifty, repairs, data };
  writeFileSync(join(resultDirectory, 'fabric.json'), JSON.stringify(results, undefined, 2));
  console.log(`\nwritten to ${resultDirectory}: fabric.json`);
}
