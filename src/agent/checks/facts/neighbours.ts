import { sysctls } from '../../../kernel/sysctls.ts';
import { IoError } from '../../../util/errors.ts';
import { readIfThere } from '../../../util/files.ts';
import { factOf } from '../check.ts';
import type { CounterDeltas } from '../counter-deltas.ts';
import type { NeighbourFacts, NeighbourTable } from '../neighbours.ts';

const TABLES = [
  { name: 'ARP', file: 'arp_cache', sysctl: 'net/ipv4/neigh/default/gc_thresh3' },
  { name: 'IPv6', file: 'ndisc_cache', sysctl: 'net/ipv6/neigh/default/gc_thresh3' },
] as const;

/** The kernel shows limits and counters in its first network namespace only; they hold for all. */
export function readNeighbourFacts(deltas: CounterDeltas): NeighbourFacts {
  const tables = factOf(() => TABLES.flatMap((table) => readTable(table, deltas)));
  return { tables: 'unread' in tables || tables.length > 0 ? tables : undefined };
}

function readTable(
  { name, file, sysctl }: (typeof TABLES)[number],
  deltas: CounterDeltas,
): readonly NeighbourTable[] {
  const most = sysctls.read(undefined, sysctl);
  const text = readIfThere(`/proc/net/stat/${file}`);
  if (most === undefined || text === undefined) return [];
  const [entries, fulls] = readStat(file, text);
  const full = deltas.grown(`${name} table_fulls`, fulls);
  return [{ name, entries, most: Number(most), sysctl, full }];
}

/** A line for each processor, in hexadecimal; the first column is of the whole table. */
function readStat(file: string, text: string): readonly [entries: number, fulls: number] {
  const [names = '', ...lines] = text.trim().split('\n');
  const column = names.trim().split(/\s+/).indexOf('table_fulls');
  const rows = lines.map((line) => line.trim().split(/\s+/));
  const [first] = rows;
  if (column < 0 || first === undefined)
    throw new IoError(`/proc/net/stat/${file} is not as known`);
  const number = (row: readonly string[], at: number) => Number.parseInt(row[at] ?? '0', 16);
  return [number(first, 0), rows.reduce((sum, row) => sum + number(row, column), 0)];
}
