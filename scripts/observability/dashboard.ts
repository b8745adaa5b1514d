/** One Grafana dashboard of all agents, or of one node. */
import { type Panel, ROWS } from './panels.ts';

const COLUMNS = 24;
const HEIGHTS = { stat: 4, table: 6, timeseries: 8 } as const;
const SOURCE = { type: 'prometheus', uid: '$source' };

/** As Grafana 10 and later import it. */
export function dashboardText(): string {
  const dashboard = {
    ...{ uid: 'weft', title: 'weft', tags: ['weft', 'kubernetes', 'network'], schemaVersion: 39 },
    ...{ editable: true, refresh: '30s', time: { from: 'now-1h', to: 'now' }, timezone: 'browser' },
    templating: { list: variables() },
    panels: panels(),
  };
  return `${JSON.stringify(dashboard, undefined, 2)}\n`;
}

/** For tests: every query, with what Grafana fills in. */
export function dashboardExpressions(): readonly string[] {
  return Object.values(ROWS)
    .flatMap((row) => row.flatMap(({ queries }) => queries.map(({ expr }) => expr)))
    .map((expr) => expr.replaceAll('$__rate_interval', '5m'));
}

function variables(): object[] {
  const query = (name: string, label: string, text: string, isMany: boolean) => ({
    ...{ name, label, type: 'query', datasource: SOURCE, query: text, refresh: 2, sort: 1 },
    ...(isMany
      ? { multi: true, includeAll: true, allValue: '.*', current: { text: 'All', value: '$__all' } }
      : {}),
  });
  return [
    { name: 'source', label: 'Data source', type: 'datasource', query: 'prometheus' },
    query('job', 'Job', 'label_values(weft_build_info, job)', false),
    query('node', 'Node', 'label_values(weft_build_info{job="$job"}, instance)', true),
  ];
}

function panels(): object[] {
  const made: object[] = [];
  let y = 0;
  for (const [title, row] of Object.entries(ROWS)) {
    made.push({ ...at(made, 0, y, COLUMNS, 1), type: 'row', title, collapsed: false, panels: [] });
    y++;
    let x = 0;
    let height = 0;
    for (const panel of row) {
      const { kind = 'timeseries', width = COLUMNS / 2 } = panel;
      if (x + width > COLUMNS) {
        y += height;
        [x, height] = [0, 0];
      }
      made.push({ ...at(made, x, y, width, HEIGHTS[kind]), ...panelOf(panel, kind) });
      x += width;
      height = Math.max(height, HEIGHTS[kind]);
    }
    y += height;
  }
  return made;
}

function at(made: readonly object[], x: number, y: number, w: number, h: number) {
  return { id: made.length + 1, gridPos: { x, y, w, h } };
}

function panelOf({ title, about, unit, queries, bad }: Panel, kind: keyof typeof HEIGHTS): object {
  const steps = [
    { color: 'green', value: null },
    ...(bad === undefined ? [] : [{ color: 'red', value: bad }]),
  ];
  const isTable = kind === 'table';
  return {
    ...{ type: kind, title, description: about, datasource: SOURCE },
    fieldConfig: {
      defaults: { unit, min: 0, thresholds: { mode: 'absolute', steps } },
      overrides: [],
    },
    options: OPTIONS[kind],
    targets: queries.map(({ expr, legend }, i) => ({
      ...{ refId: String.fromCharCode(65 + i), datasource: SOURCE, expr, legendFormat: legend },
      ...(isTable || kind === 'stat' ? { instant: true } : {}),
      ...(isTable ? { format: 'table' } : {}),
    })),
    ...(isTable ? { transformations: TABLE } : {}),
  };
}

const OPTIONS = {
  stat: { colorMode: 'value', graphMode: 'none', reduceOptions: { calcs: ['lastNotNull'] } },
  table: { showHeader: true },
  timeseries: {
    legend: { displayMode: 'list', placement: 'bottom' },
    tooltip: { mode: 'multi', sort: 'desc' },
  },
} as const;

/** Only what people read. */
const TABLE = [
  {
    id: 'organize',
    options: { excludeByName: { Time: true, Value: true, __name__: true, job: true } },
  },
];
