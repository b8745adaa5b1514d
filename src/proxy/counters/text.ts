import type { IPFamily } from '../../net/ip.ts';
import { kindOfSeries, type SeriesKind, seriesLabels } from './series.ts';
import { inTurns } from './turns.ts';

const METRICS: Readonly<Record<SeriesKind, { readonly name: string; readonly help: string }>> = {
  service: {
    name: 'weft_service_connections_total',
    help: 'New connections to a frontend of a Service port, those of rejected sources among them',
  },
  endpoint: {
    name: 'weft_endpoint_connections_total',
    help: 'New connections for which this node has chosen an endpoint of a Service port',
  },
  refused: {
    name: 'weft_service_refused_packets_total',
    help: 'Packets to a Service port that were rejected or dropped, by reason',
  },
};
const KINDS: readonly SeriesKind[] = ['service', 'endpoint', 'refused'];

/** Totals by series key, per family, as lines of the Prometheus text format. */
export async function metricsText(
  totals: ReadonlyMap<IPFamily, ReadonlyMap<string, number>>,
): Promise<string> {
  const texts = new Map<SeriesKind, string>();
  for (const [family, series] of totals) {
    await inTurns(series, ([key, total]) => {
      const kind = kindOfSeries(key);
      const line = `${METRICS[kind].name}{${labelText(key, family)}} ${total}\n`;
      texts.set(kind, (texts.get(kind) ?? header(kind)) + line);
    });
  }
  return KINDS.map((kind) => texts.get(kind) ?? '').join('');
}

function header(kind: SeriesKind): string {
  const { name, help } = METRICS[kind];
  return `# HELP ${name} ${help}\n# TYPE ${name} counter\n`;
}

function labelText(key: string, family: IPFamily): string {
  return seriesLabels(key, family)
    .map(([name, value]) => `${name}="${escapeValue(value)}"`)
    .join(',');
}

function escapeValue(value: string): string {
  return value.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n');
}
