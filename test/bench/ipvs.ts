/**
 * ipvs.ts [DIRECTORY]: the IPVS mode against iptables-legacy where the kernel has both, as under
 * user-mode Linux, whose nf_tables has no IPv4: cold start and one moved endpoint, then new
 * connections through a ClusterIP. Prints tables and writes ipvs.json to DIRECTORY. Figures of such a
 * kernel are good for comparing these two, and for nothing else.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile } from './compile.ts';
import { manyServices } from './proxy-cases.ts';
import type { ControlRun } from './proxy-control.ts';
import { measureDataPath } from './proxy-data.ts';
import { modeLane } from './proxy-lanes.ts';
import { iptablesMode, ipvsMode, runModeCase } from './proxy-modes.ts';
import { controlTable, dataTable, summarizeControl } from './proxy-tables.ts';

const ROUNDS = 2;
const SIZES = [100, 1000];
const MODES = [ipvsMode, iptablesMode('legacy')];

const [resultDirectory = 'bench-results'] = process.argv.slice(2);
const directory = mkdtempSync(join(tmpdir(), 'weft-bench-'));
try {
  await run();
} finally {
  rmSync(directory, { recursive: true });
}

async function run(): Promise<void> {
  const runs: ControlRun[] = [];
  for (const kind of SIZES.map(manyServices)) {
    for (let round = 0; round < ROUNDS; round++) {
      console.error(`${kind.title}: round ${round + 1} of ${ROUNDS}`);
      for (const mode of MODES) runs.push(await runModeCase({ directory }, kind, mode));
    }
  }
  const control = summarizeControl(runs);
  const data = await measureDataPath({
    flows: compile(directory, 'flows'),
    directory,
    rounds: ROUNDS,
    lanes: SIZES.flatMap((size) => MODES.map((mode) => modeLane(mode, size))),
    staticRuleBy: 'iptables-legacy',
  });
  console.log(controlTable(control));
  console.log(dataTable(data));
  mkdirSync(resultDirectory, { recursive: true });
  const results = { machine: { kernel: release() }, rounds: ROUNDS, control, data };
  writeFileSync(join(resultDirectory, 'ipvs.json'), JSON.stringify(results, undefined, 2));
  console.log(`\nwritten to ${resultDirectory}: ipvs.json`);
}
