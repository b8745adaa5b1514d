import { Turn } from '../util/turns.ts';
import { TABLES, type TableName } from './model.ts';

/** All chains of one table with their rules, without `-A <chain>`. */
export type ListedTable = ReadonlyMap<string, readonly string[]>;
export type Listing = Readonly<Record<TableName, ListedTable>>;

/** Lines between two looks at the time. */
const LINES_AT_ONCE = 100;

/** Reads what iptables-save prints; other tables than ours are left out. */
export function parseListing(text: string): Listing {
  const reading = readListing(text);
  for (;;) {
    const { done, value } = reading.next();
    if (done) return value;
  }
}

/** The same with turns of the event loop in between: listings grow to tens of megabytes. */
export async function parseListingInTurns(text: string): Promise<Listing> {
  const reading = readListing(text);
  const turn = new Turn();
  for (;;) {
    const { done, value } = reading.next();
    if (done) return value;
    if (turn.isOver) await turn.next();
  }
}

function* readListing(text: string): Generator<undefined, Listing> {
  const tables = { filter: new Map(), nat: new Map(), mangle: new Map() } satisfies Record<
    TableName,
    Map<string, string[]>
  >;
  let chains: Map<string, string[]> | undefined;
  let count = 0;
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(start, end);
    start = end + 1;
    if (line.startsWith('*')) {
      const table = TABLES.find((name) => name === line.slice(1));
      chains = table === undefined ? undefined : tables[table];
    } else if (line.startsWith(':')) {
      chains?.set(line.slice(1, line.indexOf(' ')), []);
    } else if (line.startsWith('-A ')) {
      const [chain, rule] = splitRule(line);
      const rules = chains?.get(chain);
      if (rules === undefined) chains?.set(chain, [rule]);
      else rules.push(rule);
    }
    count += 1;
    if (count % LINES_AT_ONCE === 0) yield;
  }
  return tables;
}

/** The chain that a rule leads to, or its other target; '' for none. */
export function targetOf(rule: string): string {
  return / ?-[jg] (\S+)/.exec(rule.replace(/"(?:[^"\\]|\\.)*"/g, ''))?.[1] ?? '';
}

function splitRule(line: string): readonly [chain: string, rule: string] {
  const end = line.indexOf(' ', 3);
  return end < 0 ? [line.slice(3), ''] : [line.slice(3, end), line.slice(end + 1)];
}
