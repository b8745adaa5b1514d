import { readdirSync, readFileSync } from 'node:fs';
import { NftablesConnection } from '../../nftables/connection.ts';
import type { Table } from '../../nftables/model.ts';
import { Transaction } from '../../nftables/transaction.ts';
import { commit, hasTable } from './own-tables.ts';
import type { TakeOverKernel } from './take-over.ts';

/** Tables and processes of this node, over a short-lived connection: all of it happens rarely. */
export const takeOverKernel: TakeOverKernel = {
  hasTable,
  deleteTable: (table) => commit(new Transaction(table).deleteTable()),
  hasChain: (table, name) => hasTable(table) && hasChain(table, name),

  kubeProxyPid: () => {
    const pid = readdirSync('/proc').find((entry) => /^\d+$/.test(entry) && isKubeProxy(entry));
    return pid === undefined ? undefined : Number(pid);
  },
};

function hasChain(table: Table, name: string): boolean {
  const connection = NftablesConnection.open();
  try {
    return connection.hasChain(table, name);
  } finally {
    connection.close();
  }
}

/** A process may end between the listing and the reading. */
function isKubeProxy(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'kube-proxy';
  } catch {
    return false;
  }
}
