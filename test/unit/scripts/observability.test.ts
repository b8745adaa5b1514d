import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { metricsPage } from '../../../scripts/metrics-page.ts';
import {
  alertExpressions,
  alertsText,
  prometheusRuleText,
} from '../../../scripts/observability/alerts.ts';
import { dashboardExpressions, dashboardText } from '../../../scripts/observability/dashboard.ts';
import { metricsIn } from '../../support/page/expressions.ts';

const file = (name: string) => join(import.meta.dirname, '../../../cni-conf', name);

test.each([
  ['alerts.yaml', alertsText],
  ['prometheus-rule.yaml', prometheusRuleText],
  ['grafana.json', dashboardText],
])('cni-conf/%s is what is made (make reference-pages)', async (name, text) => {
  await expect(text()).toMatchFileSnapshot(file(name));
});

/** By Service, which the page names in its head, of the process, and Prometheus's own. */
const OTHERS = [
  ...['weft_service_connections_total', 'weft_service_refused_packets_total', 'up'],
  ...['process_resident_memory_bytes', 'process_cpu_seconds_total'],
];

describe('every metric that is asked for is one of the agent', async () => {
  const page = await metricsPage();
  const known = new Set([...page.matchAll(/^\| `(\S+)` \|/gm)].map(([, name]) => name));
  const expressions = [...alertExpressions().values(), ...dashboardExpressions()];
  test.each([...new Set(expressions.flatMap(metricsIn))])('%s', (name) => {
    expect([...known, ...OTHERS]).toContain(name);
  });
});

test('a metric is found wherever it stands in an expression', () => {
  const expr =
    'histogram_quantile(0.9, sum by (instance, le) (rate(a_seconds_bucket{verb="b_c"}[5m]))) > 1 or b_total - c_seconds_count or vector(0)';
  expect(metricsIn(expr)).toEqual(['a_seconds', 'b_total', 'c_seconds']);
});

test('no panel lies over another', () => {
  const { panels } = JSON.parse(dashboardText()) as {
    panels: { id: number; gridPos: { x: number; y: number; w: number; h: number } }[];
  };
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)} ${y + Math.floor(i / w)}`),
  );
  expect(new Set(cells).size).toBe(cells.length);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
});
