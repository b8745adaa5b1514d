import type { IPFamily } from '../../net/ip.ts';
import { inTurns } from '../../util/turns.ts';
import { kindOfSeries, type SeriesKind, seriesLabels } from './series.ts';

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
/** Joined at a time: hundreds of thousands at once would hold the event loop. */
const LINES_PER_PART = 250;

/** Totals by series key, per family, as lines of the Prometheus text format. */
export async function metricsText(
  totals: ReadonlyMap<IPFamily, ReadonlyMap<string, number>>,
): Promise<string> {
  const texts = new Map(KINDS.map((kind) => [kind, new MetricText(kind)]));
  for (const [family, series] of totals) {
    await inTurns(series, ([key, total]) => texts.get(kindOfSeries(key))?.add(key, family, total));
  }
  return Array.from(texts.values(), (text) => text.finish()).join('');
}

class MetricText {
  readonly #kind: SeriesKind;
  readonly #parts: string[] = [];
  #lines: string[] = [];

  constructor(kind: SeriesKind) {
    this.#kind = kind;
  }

  add(key: string, family: IPFamily, total: number): void {
    this.#lines.push(`${METRICS[this.#kind].name}{${labelText(key, family)}} ${total}\n`);
    if (this.#lines.length >= LINES_PER_PART) this.#joinLines();
  }

  /** Nothing at all without series. */
  finish(): string {
    this.#joinLines();
    const lines = this.#parts.join('');
    return lines === '' ? '' : header(this.#kind) + lines;
  }

  #joinLines(): void {
    this.#parts.push(this.#lines.join(''));
    this.#lines = [];
  }
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
