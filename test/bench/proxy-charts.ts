import { type BarChart, renderCharts } from './bar-chart.ts';
import { LAYOUT_LIMIT_S } from './proxy-control.ts';
import type { DataRow } from './proxy-data.ts';
import { type ControlSummary, durationText } from './proxy-tables.ts';

/** Cold start, one change, new connections and their time, throughput. */
export function drawProxyCharts(
  control: readonly ControlSummary[],
  data: readonly DataRow[],
): string {
  return renderCharts([
    controlChart('From start to all rules in the kernel', control, ({ liveMs }) => liveMs),
    controlChart('From a moved endpoint to the commit', control, ({ changeMs }) => changeMs),
    dataChart(
      'New connections through a ClusterIP',
      'Per second; longer is better',
      data,
      (row) => row.connectionsPerSecond,
    ),
    dataChart(
      '99th percentile of connect()',
      'Microseconds; shorter is better',
      data,
      (row) => row.p99Us,
    ),
    dataChart('One long flow', 'Gbit/s; longer is better', data, (row) => row.gigabitsPerSecond),
  ]);
}

function controlChart(
  title: string,
  summaries: readonly ControlSummary[],
  pick: (row: ControlSummary) => number,
): BarChart {
  const known = summaries.filter((row) => !Number.isNaN(pick(row)));
  return {
    title,
    note: 'Services x endpoints; median in milliseconds, logarithmic scale; shorter is better',
    groups: [...Map.groupBy(known, (row) => row.case)].map(([group, rows]) => ({
      title: group,
      bars: rows.map((row) => ({
        series: row.contender,
        value: Math.min(pick(row), LAYOUT_LIMIT_S * 1000),
        label: pick(row) < 100 ? pick(row).toFixed(1) : durationText(pick(row)),
      })),
    })),
  };
}

/** The number of Services is behind the comma of a lane's name. */
function dataChart(
  title: string,
  note: string,
  rows: readonly DataRow[],
  pick: (row: DataRow) => number,
): BarChart {
  return {
    title,
    note,
    groups: rows.map((row) => ({
      title: row.lane,
      bars: [
        {
          series: row.lane.split(',')[0] ?? '',
          value: pick(row),
          label: pick(row).toFixed(1),
        },
      ],
    })),
  };
}
