/** A change of one table of iptables while a CNI call waits, worked out from what is listed. */
import { type ListedTable, parseListing } from '../../iptables/listing.ts';
import type { TableName } from '../../iptables/model.ts';
import type { Iptables, IptablesPlace } from '../../iptables/programs-sync.ts';
import { tableText } from '../../iptables/restore-text.ts';
import { settleSync } from '../../iptables/settle.ts';
import { IoError } from '../../util/errors.ts';

/** A table, and of which variant and family. */
export interface TablePlace extends IptablesPlace {
  readonly table: TableName;
}

/**
 * Applies the commands that `change` makes of the table; none means that nothing is to be done. Throws
 * IoError, BusyError when others change the table all the time.
 */
export function changeTable(
  iptables: Iptables,
  place: TablePlace,
  change: (table: ListedTable) => readonly string[],
): void {
  settleSync(`rules of table ${place.table}`, () => {
    const text = tableText(place.table, change(listTable(iptables, place)));
    if (text === '') return undefined;
    return { key: text, apply: () => iptables.restore(place, text) };
  });
}

/** Throws IoError where the programs are not installed. */
export function listTable(iptables: Iptables, { table, ...place }: TablePlace): ListedTable {
  const saved = iptables.save(place, table);
  if (saved !== undefined) return parseListing(saved)[table];
  throw new IoError(`ip${place.family === 4 ? '' : '6'}tables-save is not installed on this node`);
}

/** Every rule as the command that appends it. */
export function appendsOf(table: ListedTable): readonly string[] {
  return [...table].flatMap(([chain, rules]) => rules.map((rule) => `-A ${chain} ${rule}`));
}

/** What deletes the rule that a command appends. */
export function deletionOf(append: string): string {
  return append.replace(/^-A /, '-D ');
}

/** One word of a rule, as iptables-restore reads it whatever is in it. Not for control characters. */
export function quoted(word: string): string {
  if (/^[\w./:,=-]+$/.test(word)) return word;
  return `"${word.replaceAll(/["\\]/g, '\\$&')}"`;
}
