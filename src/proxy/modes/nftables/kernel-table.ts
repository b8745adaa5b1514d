import { TableApplier } from '../../../nftables/applier.ts';
import type { NftablesConnection } from '../../../nftables/connection.ts';
import type { OpenTable } from './session.ts';

/** Tables in the kernel, each over a connection of its own that `connect` opens. */
export function kernelTables(connect: () => NftablesConnection): OpenTable {
  return (definition) => {
    const connection = connect();
    const applier = new TableApplier(connection, definition);
    return {
      observe: () => applier.observe(),
      wake: () => applier.wake(),
      apply: (change) => applier.apply(change),
      replace: (content) => applier.replace(content),
      close: () => connection.close(),
    };
  };
}
