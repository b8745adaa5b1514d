/**
 * proxy.ts [ROUNDS] [DIRECTORY] [quick]: weft against the ruleset layout of kube-proxy v1.36, and its
 * modes against each other, in turns in one run: cold start and one moved endpoint at 1 to 40,000
 * Services of 5 endpoints and with 10,000 endpoints behind one, memory and CPU; then new connections,
 * connect time and throughput through a ClusterIP. Prints tables and writes proxy.json and proxy.svg to
 * DIRECTORY. `quick` leaves out everything above 1,000 Services, and rounds.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile } from './compile.ts';
import { type ControlCase, largeCase, manyServices } from './proxy-cases.ts';
import { drawProxyCharts } from './proxy-charts.ts';
import { type ControlRun, runAgentCase, runInProcessCase, runLayoutCase } from './proxy-control.ts';
import { type DataRow, measureDataPath } from './proxy-data.ts';
import { layoutLane, modeLane, weftLane } from './proxy-lanes.ts';
import {
  iptablesModes,
  ipvsMode,
  type Mode,
  nftablesMode,
  runModeCase,
  userspaceMode,
} from './proxy-modes.ts';
import { controlTable, dataTable, summarizeControl } from './proxy-tables.ts';

/** Above this the layout's load takes minutes. */
const LAYOUT_SERVICES = 10_000;
/** Starts and changes are steadier than connections. */
const CONTROL_ROUNDS = 3;
/** All of it takes a quarter of an hour: what is large has fewer rounds. */
const LONG_ENDPOINTS = 10_000;
const LONG_ROUNDS = 2;
const MODE_SIZES: readonly number[] = [1000, 5000];

const [rounds, resultDirectory = 'bench-results', scale] = process.argv.slice(2);
const isQuick = scale === 'quick';
const sizes = isQuick ? [1, 1000] : [1, 1000, 5000, 10_000, 40_000];
const hasIpvs = existsSync('/proc/net/ip_vs');
const otherModes: readonly Mode[] = [
  ...iptablesModes,
  userspaceMode,
  ...(hasIpvs ? [ipvsMode] : []),
];
const directory = mkdtempSync(join(tmpdir(), 'weft-bench-'));
try {
  await run(Number(rounds ?? (isQuick ? 1 : 4)));
} finally {
  rmSync(directory, { recursive: true });
}

async function run(count: number): Promise<void> {
  const [measure, flows] = [compile(directory, 'measure'), compile(directory, 'flows')];
  const runs = await measureControlPath({ directory, measure }, Math.min(count, CONTROL_ROUNDS));
  const data = await measureLanes(flows, count);
  const control = summarizeControl(runs);
  const results = {
    machine: { cpus: cpus().length, model: cpus()[0]?.model, kernel: release() },
    rounds: count,
    control,
    data,
  };
  console.log(controlTable(control));
  console.log(dataTable(data));
  if (!hasIpvs)
    console.log(
      '\nweft IPVS: not in this kernel; `make bench-ipvs` measures it in one that has it',
    );
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
    const isLong = kind.services * kind.endpoints >= LONG_ENDPOINTS;
    const most = isLong ? Math.min(count, LONG_ROUNDS) : count;
    for (let round = 0; round < most; round++) {
      console.error(`${kind.title}: round ${round + 1} of ${most}`);
      runs.push(await runAgentCase(tools, kind, 'manifests'));
      runs.push(await runAgentCase(tools, kind, 'apiServer'));
      runs.push(await runInProcessCase(kind));
      for (const mode of modesAt(kind)) runs.push(await runModeCase(tools, kind, mode));
      if (kind.services <= LAYOUT_SERVICES) runs.push(...(await runLayoutCase(tools, kind)));
    }
  }
  return runs;
}

function modesAt({ services }: ControlCase): readonly Mode[] {
  return MODE_SIZES.includes(services) ? [nftablesMode, ...otherModes] : [];
}

function measureLanes(flows: string, count: number): Promise<readonly DataRow[]> {
  const small = sizes.filter((size) => size <= LAYOUT_SERVICES);
  const modeSizes = small.filter((size) => MODE_SIZES.includes(size));
  const lanes = [
    ...small.map(weftLane),
    ...otherModes.flatMap((mode) => modeSizes.map((size) => modeLane(mode, size))),
    ...small.map(layoutLane),
  ];
  return measureDataPath({ flows, directory, rounds: count, lanes });
}
