import { TableApplier } from '../../../nftables/applier.ts';
import type { NftablesConnection } from '../../../nftables/connection.ts';
import { listElements } from '../../../nftables/element-listing.ts';
import type { OpenTable } from './table.ts';

/**
 * Tables in the kernel, each over a connection of its own that `connect` opens; in the namespace of
 * this process, or in the one that is given too.
 */
export function kernelTables(
  connect: () => NftablesConnection,
  options: { readonly netns?: { readonly fd: number } } = {},
): OpenTable {
  return (definition) => {
    const connection = connect();
    const applier = new TableApplier(connection, definition);
    return {
      observe: () => applier.observe(),
      wake: () => applier.wake(),
      apply: (change) => applier.apply(change),
      replace: (content) => applier.replace(content),
      prepare: (content) => applier.prepare(content),
      hook: () => applier.hook(),
      list: (set, onPart) => listElements(options, definition.table, set, onPart),
      damaged: (chains) => connection.damagedChains(definition.table, chains),
      close: () => connection.close(),
    };
  };
}
