import { hasTable, removeTable } from '../../nftables/own-namespace.ts';
import { tableText } from '../../nftables/text.ts';
import { POLICY_TABLE } from '../../policy/table/definition.ts';
import type { CleanupOptions, Leftover } from './leftover.ts';

/**
 * What policies have allowed and denied. Nobody keeps the table up to date without an agent, so no pod needs it.
 * The stamps of connections (src/policy/README.md) mean nothing to anybody else, and go with them.
 */
export function leftoversOfPolicy({ components }: CleanupOptions): readonly Leftover[] {
  if (!components.includes('policy') || !hasTable(POLICY_TABLE)) return [];
  const remove = () => removeTable(POLICY_TABLE);
  return [{ text: `table ${tableText(POLICY_TABLE)}`, isNeeded: false, remove }];
}
