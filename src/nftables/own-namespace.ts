import { hasTable as isListed, listTables } from './absence.ts';
import { NftablesConnection } from './connection.ts';
import type { Table } from './model.ts';
import { Transaction } from './transaction.ts';

/** The tables of this namespace; none where the kernel has no nf_tables. */
export function ownNamespaceTables(): readonly Table[] {
  return connected((connection) => listTables(connection));
}

export function hasTable(table: Table): boolean {
  return connected((connection) => isListed(connection, table));
}

/** Deletes a table; false when there was none. */
export function removeTable(table: Table): boolean {
  if (!hasTable(table)) return false;
  const transaction = new Transaction(table).deleteTable();
  connected((connection) => connection.commit(transaction));
  return true;
}

/** Throws what `commit` would, and changes nothing. */
export function check(transaction: Transaction): void {
  connected((connection) => connection.check(transaction));
}

/** Commits one transaction over a connection of its own. */
export function commit(transaction: Transaction): void {
  connected((connection) => connection.commit(transaction));
}

function connected<T>(use: (connection: NftablesConnection) => T): T {
  const connection = NftablesConnection.open({ isLazy: true });
  try {
    return use(connection);
  } finally {
    connection.close();
  }
}
