/** Grouped horizontal bars on a logarithmic scale, as SVG. */

export interface Bar {
  /** Decides the colour; the same series have the same in all charts. */
  readonly series: string;
  readonly value: number;
  readonly label: string;
}

export interface BarChart {
  readonly title: string;
  /** Below the title: unit and direction. */
  readonly note: string;
  readonly groups: readonly { readonly title: string; readonly bars: readonly Bar[] }[];
}

// Readable with the usual colour blindnesses, on white and on paper.
const colours = [
  ...['#0072b2', '#56b4e9', '#d55e00', '#999999', '#009e73', '#cc79a7'],
  ...['#e69f00', '#f0e442', '#882255', '#44aa99', '#000000'],
];
const width = 860;
const left = 210;
const right = 110;
const barHeight = 15;
const groupGap = 14;
/** With one row of the legend. */
const leastHeadHeight = 74;
const footHeight = 34;
const legendColumns = 5;
const legendColumnWidth = 165;
const legendRowHeight = 16;

/** The charts below each other in one document. */
export function renderCharts(charts: readonly BarChart[]): string {
  const series = [
    ...new Set(
      charts.flatMap(({ groups }) => groups.flatMap(({ bars }) => bars.map((b) => b.series))),
    ),
  ];
  const parts: string[] = [];
  let top = 0;
  for (const chart of charts) {
    parts.push(`<g transform="translate(0 ${top})">`, ...renderChart(chart, series), '</g>');
    top += heightOf(chart);
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${top}" viewBox="0 0 ${width} ${top}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${top}" fill="white"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

function heightOf(chart: BarChart): number {
  const bars = chart.groups.map((group) => group.bars.length * barHeight + groupGap);
  return headHeightOf(chart) + bars.reduce((sum, height) => sum + height, 0) + footHeight;
}

function headHeightOf({ groups }: BarChart): number {
  const shown = new Set(groups.flatMap(({ bars }) => bars.map(({ series }) => series)));
  const rows = Math.max(1, Math.ceil(shown.size / legendColumns));
  return leastHeadHeight + (rows - 1) * legendRowHeight;
}

function renderChart(chart: BarChart, series: readonly string[]): string[] {
  const scale = logScale(chart.groups.flatMap(({ bars }) => bars.map(({ value }) => value)));
  const bottom = heightOf(chart) - footHeight;
  const headHeight = headHeightOf(chart);
  const lines = [
    text(16, 26, chart.title, 'font-size="16" font-weight="bold"'),
    text(16, 44, chart.note, 'fill="#555"'),
    ...legend(series, chart),
    ...scale.ticks.flatMap((tick) => [
      `<line x1="${scale.at(tick)}" x2="${scale.at(tick)}" y1="${headHeight - 6}" y2="${bottom}" stroke="#ddd"/>`,
      text(scale.at(tick), bottom + 16, String(tick), 'text-anchor="middle" fill="#555"'),
    ]),
  ];
  let y = headHeight;
  for (const { title, bars } of chart.groups) {
    const middle = y + (bars.length * barHeight) / 2 + 4;
    lines.push(text(left - 10, middle, title, 'text-anchor="end"'));
    for (const { series: name, value, label } of bars) {
      const end = scale.at(value);
      lines.push(
        `<rect x="${left}" y="${y}" width="${(end - left).toFixed(1)}" height="${barHeight - 2}" fill="${colourOf(series, name)}"/>`,
        text(end + 5, y + barHeight - 4, label, ''),
      );
      y += barHeight;
    }
    y += groupGap;
  }
  return lines;
}

function legend(series: readonly string[], { groups }: BarChart): string[] {
  const shown = series.filter((name) =>
    groups.some(({ bars }) => bars.some((bar) => bar.series === name)),
  );
  return shown.flatMap((name, index) => {
    const x = 16 + (index % legendColumns) * legendColumnWidth;
    const y = 52 + Math.floor(index / legendColumns) * legendRowHeight;
    return [
      `<rect x="${x}" y="${y}" width="11" height="11" fill="${colourOf(series, name)}"/>`,
      text(x + 16, y + 10, name, ''),
    ];
  });
}

function colourOf(series: readonly string[], name: string): string {
  return colours[series.indexOf(name) % colours.length] ?? 'black';
}

/** Whole decades from below the smallest to above the largest value. */
function logScale(values: readonly number[]) {
  const first = Math.floor(Math.log10(Math.min(...values)));
  const last = Math.max(first + 1, Math.ceil(Math.log10(Math.max(...values))));
  const perDecade = (width - left - right) / (last - first);
  const at = (value: number) => left + (Math.log10(value) - first) * perDecade;
  const decades = Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index));
  const ticks = decades.flatMap((decade) => [decade, 2 * decade, 5 * decade]);
  return { at, ticks: ticks.filter((tick) => tick <= 10 ** last) };
}

function text(x: number, y: number, content: string, attributes: string): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escaped}</text>`;
}
