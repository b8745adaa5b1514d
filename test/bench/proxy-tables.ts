/** What the runs of the proxy come to, as values and as text. */
import { type ControlRun, LAYOUT_LIMIT_S } from './proxy-control.ts';
import type { DataRow } from './proxy-data.ts';
import { median, percentile, table } from './statistics.ts';

/** Medians over the runs of one contender on one case; NaN for what it has no figure of. */
export interface ControlSummary {
  readonly case: string;
  readonly contender: string;
  readonly runs: number;
  readonly liveMs: number;
  readonly cpuMs: number;
  readonly rssMiB: number;
  readonly changeMs: number;
  readonly worstChangeMs: number;
}

export function summarizeControl(runs: readonly ControlRun[]): readonly ControlSummary[] {
  const groups = Map.groupBy(runs, (run) => `${run.case} / ${run.contender}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const changes = group.flatMap(({ changesMs }) => changesMs);
    return {
      case: first.case,
      contender: first.contender,
      runs: group.length,
      liveMs: median(group.map(({ liveMs }) => liveMs)),
      cpuMs: median(group.map(({ cpuMs }) => cpuMs)),
      rssMiB: median(group.map(({ rssMiB }) => rssMiB)),
      changeMs: median(changes),
      worstChangeMs: percentile(changes, 1),
    };
  });
}

export function controlTable(summaries: readonly ControlSummary[]): string {
  const header = ['to live, ms', 'cpu ms', 'RSS MiB', 'one endpoint, ms', 'worst, ms', 'runs'];
  const cells = (row: ControlSummary) => [
    durationText(row.liveMs),
    figure(row.cpuMs, 0),
    figure(row.rssMiB, 0),
    figure(row.changeMs, 1),
    figure(row.worstChangeMs, 1),
    String(row.runs),
  ];
  return [...Map.groupBy(summaries, (row) => row.case)]
    .map(([title, rows]) => {
      const lines = rows.map((row) => [row.contender, ...cells(row)]);
      return `\n${table([`Services: ${title}`, ...header], lines)}`;
    })
    .join('\n');
}

export function dataTable(rows: readonly DataRow[]): string {
  const header = [
    'through, Services',
    'connections/s',
    'of one rule',
    'of direct',
    'median us',
    'p99 us',
    'Gbit/s',
  ];
  const lines = rows.map((row) => [
    row.lane,
    row.connectionsPerSecond.toFixed(0),
    row.ofStaticRule.toFixed(3),
    row.ofDirect.toFixed(3),
    row.medianUs.toFixed(1),
    row.p99Us.toFixed(1),
    row.gigabitsPerSecond.toFixed(1),
  ]);
  return `\n${table(header, lines)}`;
}

/** A load that was ended at its limit is written as such. */
export function durationText(ms: number): string {
  return ms === Number.POSITIVE_INFINITY ? `> ${LAYOUT_LIMIT_S} s` : ms.toFixed(0);
}

function figure(value: number, digits: number): string {
  return Number.isNaN(value) ? '-' : value.toFixed(digits);
}
