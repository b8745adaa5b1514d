import { openLocalNode } from '../../cni/local-node.ts';
import { readBootId } from '../../cni/machine.ts';
import { untieSenders } from '../../cni/upkeep/sender-ties.ts';
import { hasTable, removeTable } from '../../nftables/own-namespace.ts';
import { tableText } from '../../nftables/text.ts';
import { POLICY_TABLE } from '../../policy/table/definition.ts';
import { WEFT_VERSION } from '../version.ts';
import type { CleanupOptions, Leftover } from './leftover.ts';

/**
 * What policies have allowed and denied, and what ties pods to their addresses for their sake. Nobody keeps the table
 * up to date without an agent, so no pod needs it. The stamps of connections (src/policy/README.md) mean nothing
 * to anybody else, and go with them.
 */
export function leftoversOfPolicy({ components, runDir }: CleanupOptions): readonly Leftover[] {
  if (!components.includes('policy')) return [];
  const remove = () => removeTable(POLICY_TABLE);
  const table = { text: `table ${tableText(POLICY_TABLE)}`, isNeeded: false, remove };
  return [...(hasTable(POLICY_TABLE) ? [table] : []), ...tiesOf(runDir)];
}

function tiesOf(runDirectory: string): readonly Leftover[] {
  const node = openLocalNode({ runDirectory, isLongLived: false, version: WEFT_VERSION });
  const bootId = readBootId();
  const tied = node.records.list().filter((record) => {
    return record.bootId === bootId && record.plan?.host.senders !== undefined;
  });
  if (tied.length === 0) return [];
  const remove = () => {
    untieSenders(node, tied);
    return true;
  };
  const text = `checks of senders' addresses at ports of ${tied.length} pods`;
  return [{ text, isNeeded: false, remove }];
}
