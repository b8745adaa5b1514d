/** What was measured of the fabric, as text. */
import type { ColdRow } from './fabric-cold.ts';
import type { FabricData } from './fabric-data.ts';
import type { FiftyRow } from './fabric-fifty.ts';
import type { RepairRow } from './fabric-repair.ts';
import { table } from './statistics.ts';

const fixed = (value: number, digits = 0) => value.toFixed(digits);

export function coldTable(rows: readonly ColdRow[]): string {
  const header = ['complete, ms', 'ip + bridge, ms', 'ratio', 'since start, ms', 'CPU ms'];
  const cells = (row: ColdRow) => [
    ...[row.completeMs, row.byHandMs].map((ms) => fixed(ms)),
    fixed(row.ofByHand, 2),
    ...[row.sinceStartMs, row.cpuMs].map((ms) => fixed(ms)),
  ];
  return table(
    ['Cold, peers', ...header],
    rows.map((row) => [count(row.peers), ...cells(row)]),
  );
}

export function unchangedTable(rows: readonly ColdRow[]): string {
  const header = [
    'writes',
    'ms',
    'one event, ms',
    'p99, ms',
    'heap MiB',
    'RSS MiB',
    'turn, CPU ms',
  ];
  const cells = (row: ColdRow) => [
    ...[row.secondWrites, row.secondMs].map((value) => fixed(value)),
    ...[row.eventMs, row.eventP99Ms, row.heapMiB, row.rssMiB].map((value) => fixed(value, 1)),
    fixed(row.longestTurnMs),
  ];
  return table(
    ['Again, peers', ...header],
    rows.map((row) => [count(row.peers), ...cells(row)]),
  );
}

export function fiftyTable({ nodes, weftMs, byHandMs }: FiftyRow): string {
  return table(
    ['Whole clusters, nodes', 'all complete, ms', 'ip + bridge, ms', 'ratio'],
    [[count(nodes), fixed(weftMs), fixed(byHandMs), fixed(weftMs / byHandMs, 2)]],
  );
}

export function repairTable(rows: readonly RepairRow[]): string {
  return table(
    ['Repaired after losing', 'median, ms', 'worst, ms'],
    rows.map(({ what, medianMs, worstMs }) => [what, fixed(medianMs), fixed(worstMs)]),
  );
}

export function fabricDataTable({ rows, trackedTunnelFlows }: FabricData): string {
  const against = ['of by hand', 'with rule'];
  const text = table(
    ['Pod to pod', 'connections/s', ...against, 'Gbit/s', ...against],
    rows.map((row) => [
      ...[row.lane, count(Math.round(row.connectionsPerSecond))],
      ...[row.ofByHand, row.ofMasquerade].map((ratio) => fixed(ratio, 3)),
      fixed(row.gigabitsPerSecond, 1),
      ...[row.streamOfByHand, row.streamOfMasquerade].map((ratio) => fixed(ratio, 3)),
    ]),
  );
  const tracked = Object.entries(trackedTunnelFlows).map(([maker, flows]) => `${maker} ${flows}`);
  return `${text}\ntracked flows of the tunnel: ${tracked.join(', ')}`;
}

function count(value: number): string {
  return value.toLocaleString('en');
}
