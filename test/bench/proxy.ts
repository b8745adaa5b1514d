/**
 * proxy.ts [ROUNDS] [DIRECTORY] [quick]: weft against the ruleset layout of kube-proxy v1.36, in turns
 * in one run: cold start and one moved endpoint at 1 to 40,000 Services of 5 endpoints and with
 * 10,000 endpoints behind one, memory and CPU; then new connections, connect time and throughput
 * through a ClusterIP. Prints tables and writes proxy.json and proxy.svg to DIRECTORY. `quick` leaves
 * out everything above 1,000 Services.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile } from './compile.ts';
import { largeCase, manyServices } from './proxy-cases.ts';
import { drawProxyCharts } from './proxy-charts.ts';
import { type ControlRun, runAgentCase, runInProcessCase, runLayoutCase } from './proxy-control.ts';
import { measureDataPath } from './proxy-data.ts';
import { controlTable, dataTable, summarizeControl } from './proxy-tables.ts';

/** Above this the layout's load takes minutes. */
const LAYOUT_SERVICES = 10_000;
const LAYOUT_ROUNDS = 2;
/** Starts and changes are steadier than connections. */
const CONTROL_ROUNDS = 3;

const [rounds = '5', resultDirectory = 'bench-results', scale] = process.argv.slice(2);
const sizes = scale === 'quick' ? [1, 1000] : [1, 1000, 5000, 10_000, 40_000];
const directory = mkdtempSync(join(tmpdir(), 'weft-bench-'));
try {
  await run(Number(rounds));
} finally {
  rmSync(directory, { recursive: true });
}

async function run(count: number): Promise<void> {
  const [measure, flows] = [compile(directory, 'measure'), compile(directory, 'flows')];
  const runs = await measureControlPath({ directory, measure }, Math.min(count, CONTROL_ROUNDS));
  const dataSizes = sizes.filter((size) => size !== 5000 && size <= LAYOUT_SERVICES);
  const data = await measureDataPath({ flows, directory, rounds: count, sizes: dataSizes });
  const control = summarizeControl(runs);
  const results = {
    machine: { cpus: cpus().length, model: cpus()[0]?.model, kernel: release() },
    rounds: count,
    control,
    data,
  };
  console.log(controlTable(control));
  console.log(dataTable(data));
  mkdirSync(resultDirectory, { recursive: true });
  writeFileSync(join(resultDirectory, 'proxy.json'), JSON.stringify(results, undefined, 2));
  writeFileSync(join(resultDirectory, 'proxy.svg'), drawProxyCharts(control, data));
  console.log(`\nwritten to ${resultDirectory}: proxy.json, proxy.svg`);
}

async function measureControlPath(
  tools: { readonly directory: string; readonly measure: string },
  count: number,
): Promise<readonly ControlRun[]> {
  const runs: ControlRun[] = [await runAgentCase(tools, manyServices(0), 'manifests')];
  for (const kind of [...sizes.map(manyServices), largeCase]) {
    for (let round = 0; round < count; round++) {
      console.error(`${kind.title}: round ${round + 1} of ${count}`);
      runs.push(await runAgentCase(tools, kind, 'manifests'));
      runs.push(await runAgentCase(tools, kind, 'apiServer'));
      runs.push(await runInProcessCase(kind));
      const isLong = kind.services > 5000;
      if (kind.services > LAYOUT_SERVICES || (isLong && round >= LAYOUT_ROUNDS)) continue;
      runs.push(...(await runLayoutCase(tools, kind)));
    }
  }
  return runs;
}
