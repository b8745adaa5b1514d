import { type BarChart, renderCharts } from './bar-chart.ts';
import type { Burst } from './bursts.ts';
import type { Floor } from './cni-floor-and-load.ts';
import type { Summary } from './cni-tables.ts';
import type { Verb } from './contenders.ts';

/** Latency of ADD and of DEL, and pods per second in bursts. */
export function drawCharts(
  summaries: readonly Summary[],
  floor: Floor,
  bursts: readonly Burst[],
): string {
  return renderCharts([
    latencyChart('ADD', summaries, floor.addMs),
    latencyChart('DEL', summaries, floor.deleteMs),
    burstChart(bursts),
  ]);
}

function latencyChart(verb: Verb, summaries: readonly Summary[], kernelMs: number): BarChart {
  const built = summaries.filter((row) => row.verb === verb && !Number.isNaN(row.medianMs));
  const groups = Map.groupBy(built, ({ configuration }) => configuration);
  const kernel = { series: 'kernel alone', value: kernelMs, label: `${kernelMs.toFixed(1)} ms` };
  return {
    title: `CNI ${verb}: time of one call`,
    note: 'Median (p95) in milliseconds, logarithmic scale; shorter is better',
    groups: [
      ...[...groups].map(([title, rows]) => ({
        title,
        bars: rows.map(({ contender, medianMs, p95Ms }) => ({
          series: contender,
          value: medianMs,
          label: `${medianMs.toFixed(1)} (${p95Ms.toFixed(1)})`,
        })),
      })),
      { title: 'veth, 2 addresses, 2 routes', bars: [kernel] },
    ],
  };
}

function burstChart(bursts: readonly Burst[]): BarChart {
  const concurrencies = Map.groupBy(bursts, ({ concurrency }) => concurrency);
  const group = (verb: Verb, concurrency: number, rows: readonly Burst[]) => ({
    title: `${verb}, ${concurrency} at a time`,
    bars: rows.map(({ contender, rate }) => ({
      series: contender,
      value: rate[verb],
      label: rate[verb].toFixed(0),
    })),
  });
  return {
    title: '100 pods at once, dual stack + ipMasq',
    note: 'Pods per second, logarithmic scale; longer is better',
    groups: (['ADD', 'DEL'] as const).flatMap((verb) =>
      [...concurrencies].map(([concurrency, rows]) => group(verb, concurrency, rows)),
    ),
  };
}
