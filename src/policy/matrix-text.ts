import { wrapped } from '../util/text-layout.ts';
import type { MatrixChange, MatrixEntry } from './matrix.ts';

const INDENT = '    ';

/** Per destination and port, who may connect: lines that fit 80 columns as far as names allow. */
export function* matrixText(entries: Iterable<MatrixEntry>): Generator<string> {
  let row: MatrixEntry[] = [];
  for (const entry of entries) {
    if (row[0] !== undefined && placeOf(row[0]) !== placeOf(entry)) {
      yield rowText(row);
      row = [];
    }
    row.push(entry);
  }
  if (row.length > 0) yield rowText(row);
}

/** `+` for what is allowed from now on, `-` for what no longer is. */
export function changeText(change: MatrixChange): string {
  const { from, allowed, reason } = change;
  const sign = allowed ? '+' : '-';
  return `${sign} ${from} -> ${placeOf(change)} ${allowed ? 'allowed' : 'denied'}\n${INDENT}${reason}\n`;
}

function placeOf({ to, port, protocol }: Pick<MatrixEntry, 'to' | 'port' | 'protocol'>): string {
  return `${to}:${port}/${protocol.toLowerCase()}`;
}

function rowText(row: readonly MatrixEntry[]): string {
  const allowed = row.filter((entry) => entry.allowed).map(({ from }) => from);
  const denied = row.filter((entry) => !entry.allowed).map(({ from }) => from);
  const [first] = row;
  const place = first === undefined ? '' : placeOf(first);
  const sources = wrapped(sourcesText(allowed, denied), { first: INDENT, next: `${INDENT}  ` });
  return `${[place, ...sources].join('\n')}\n`;
}

/** The shorter of both lists. */
function sourcesText(allowed: readonly string[], denied: readonly string[]): string {
  if (denied.length === 0) return 'from every pod';
  if (allowed.length === 0) return 'from no pod';
  if (denied.length < allowed.length) return `from every pod but ${denied.join(', ')}`;
  return `from ${allowed.join(', ')}`;
}
