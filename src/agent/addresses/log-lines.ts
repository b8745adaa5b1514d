/** The lines of the address log: what an attachment took, and what it gave back. */
import { type IP, tryParseIP } from '../../net/ip.ts';
import { parseJson } from '../../util/json.ts';
import type { Steps } from '../../util/turns.ts';

/** Addresses of an attachment; times are milliseconds since the epoch. */
export interface Holding {
  readonly network: string;
  readonly container: string;
  readonly interface: string;
  /** `namespace/name`; absent where the runtime told of no pod. */
  readonly pod?: string;
  readonly addresses: readonly IP[];
  readonly sinceMs: number;
}

export interface PastHolding extends Holding {
  readonly untilMs: number;
  /** Nobody looked when it ended: it was found gone then. */
  readonly isLate?: true;
}

/** One line: an end says everything again, so that it can be read alone. */
export function holdingLine(holding: Holding | PastHolding): string {
  return `${JSON.stringify(holding)}\n`;
}

/** Undefined for what is no such line: a crash may leave half of one. */
function parseHolding(line: string): Holding | PastHolding | undefined {
  const value = parseJson(line);
  if (typeof value !== 'object' || value === null) return undefined;
  const fields: Readonly<Record<string, unknown>> = { ...value };
  const { network, container, interface: name, pod, addresses, sinceMs, untilMs, isLate } = fields;
  const isText = [network, container, name].every((text) => typeof text === 'string');
  if (!isText || typeof sinceMs !== 'number' || !Array.isArray(addresses)) return undefined;
  const holding = {
    network: String(network),
    container: String(container),
    interface: String(name),
    ...(typeof pod === 'string' ? { pod } : {}),
    addresses: addresses.flatMap((text) => tryParseIP(String(text)) ?? []),
    sinceMs,
  };
  if (typeof untilMs !== 'number') return holding;
  return { ...holding, untilMs, ...(isLate === true ? { isLate } : {}) };
}

/** What identifies an attachment. */
function holderKey(holding: Pick<Holding, 'network' | 'container' | 'interface'>): string {
  return `${holding.network}\0${holding.container}\0${holding.interface}`;
}

export interface ReadLog {
  /** Those that ended, oldest first. */
  readonly past: readonly PastHolding[];
  /** Those of which no end was written, by holder. */
  readonly open: ReadonlyMap<string, Holding>;
}

/** Reads a log, a line a step. */
export function* readLogSteps(text: string): Steps<ReadLog> {
  const past: PastHolding[] = [];
  const open = new Map<string, Holding>();
  for (let start = 0; start < text.length; ) {
    const end = text.indexOf('\n', start);
    const line = text.slice(start, end < 0 ? text.length : end);
    start = end < 0 ? text.length : end + 1;
    const holding = parseHolding(line);
    if (holding !== undefined && 'untilMs' in holding) {
      past.push(holding);
      open.delete(holderKey(holding));
    } else if (holding !== undefined) {
      open.set(holderKey(holding), holding);
    }
    yield;
  }
  return { past, open };
}
