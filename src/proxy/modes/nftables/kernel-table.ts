import { TableApplier } from '../../../nftables/applier.ts';
import type { NftablesConnection } from '../../../nftables/connection.ts';
import { listElements } from '../../../nftables/element-listing.ts';
import type { Chain, Element, NamedSet } from '../../../nftables/model.ts';
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
    return Object.assign(new TableApplier(connection, definition), {
      list: (set: NamedSet, onPart: (elements: readonly Element[]) => void) =>
        listElements(options, definition.table, set, onPart),
      damaged: (chains: readonly Chain[]) => connection.damagedChains(definition.table, chains),
      close: () => connection.close(),
    });
  };
}
