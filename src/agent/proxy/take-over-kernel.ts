import { readdirSync, readFileSync } from 'node:fs';
import { NftablesConnection } from '../../nftables/connection.ts';
import type { Table } from '../../nftables/model.ts';
import { Transaction } from '../../nftables/transaction.ts';
import type { TakeOverKernel } from './take-over.ts';

/** Tables and processes of this node, over a short-lived connection: all of it happens rarely. */
export const takeOverKernel: TakeOverKernel = {
  hasTable: (table) => connected((connection) => hasTable(connection, table)),

  deleteTable: (table) =>
    connected((connection) => {
      const transaction = new Transaction(table);
      transaction.deleteTable();
      connection.commit(transaction);
    }),

  hasChain: (table, name) => connected((connection) => connection.hasChain(table, name)),

  kubeProxyPid: () => {
    const pid = readdirSync('/proc').find((entry) => /^\d+$/.test(entry) && isKubeProxy(entry));
    return pid === undefined ? undefined : Number(pid);
  },
};

function connected<T>(use: (connection: NftablesConnection) => T): T {
  const connection = NftablesConnection.open();
  try {
    return use(connection);
  } finally {
    connection.close();
  }
}

function hasTable(connection: NftablesConnection, { family, name }: Table): boolean {
  return connection.tables(family).some((table) => table.name === name);
}

/** A process may end between the listing and the reading. */
function isKubeProxy(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'kube-proxy';
  } catch {
    return false;
  }
}
