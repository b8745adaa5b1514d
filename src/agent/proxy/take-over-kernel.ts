import { NftablesConnection } from '../../nftables/connection.ts';
import type { Table } from '../../nftables/model.ts';
import { commit, hasTable } from '../../nftables/own-namespace.ts';
import { Transaction } from '../../nftables/transaction.ts';
import { findKubeProxy, seesNodeProcesses } from './kube-proxy-process.ts';
import type { TakeOverKernel } from './take-over.ts';

/** Tables and processes of this node, over a short-lived connection: all of it happens rarely. */
export const takeOverKernel: TakeOverKernel = {
  hasTable,
  deleteTable: (table) => commit(new Transaction(table).deleteTable()),
  hasChain: (table, name) => hasTable(table) && hasChain(table, name),

  kubeProxy: () => findKubeProxy(),
  seesProcesses: () => seesNodeProcesses(),
};

function hasChain(table: Table, name: string): boolean {
  const connection = NftablesConnection.open();
  try {
    return connection.hasChain(table, name);
  } finally {
    connection.close();
  }
}
