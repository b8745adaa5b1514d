import { type GuestRule, type RulesChange, TABLES, type TableName } from './model.ts';

/**
 * The change as `iptables-restore --noflush` reads it; empty when there is nothing to do. Each table
 * is one transaction, filter before nat: a Service that loses its endpoints is refused before it is
 * no longer forwarded, so nothing leaves by the default route in between.
 */
export function restoreText(change: RulesChange): string {
  return TABLES.map((table) => tableText(table, linesOf(table, change))).join('');
}

/** Commands for one table, which are applied whole or not at all; empty when there are none. */
export function tableText(table: TableName, lines: readonly string[]): string {
  return lines.length === 0 ? '' : `*${table}\n${lines.join('\n')}\nCOMMIT\n`;
}

function linesOf(table: TableName, change: RulesChange): readonly string[] {
  const of = <T extends { readonly table: TableName }>(items: readonly T[] = []) =>
    items.filter((item) => item.table === table);
  const chains = of(change.chains);
  const removed = of(change.removedChains);
  // A declaration makes a chain, or flushes the one that is there.
  const declared = [...of(change.newChains), ...chains, ...removed];
  return [
    ...declared.map(({ name }) => `:${name} - [0:0]`),
    ...of(change.removedGuests).map(({ chain, rule }) => `-D ${chain} ${rule}`),
    ...chains.flatMap(({ name, rules }) => rules.map((rule) => `-A ${name} ${rule}`)),
    ...insertions(of(change.guests)),
    ...removed.map(({ name }) => `-X ${name}`),
  ];
}

function insertions(guests: readonly GuestRule[]): readonly string[] {
  const first = guests.filter(({ position }) => position === 'first').toReversed();
  const last = guests.filter(({ position }) => position === 'last');
  return [
    ...first.map(({ chain, rule }) => `-I ${chain} ${rule}`),
    ...last.map(({ chain, rule }) => `-A ${chain} ${rule}`),
  ];
}
