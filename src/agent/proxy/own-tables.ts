import { NftablesConnection } from '../../nftables/connection.ts';
import type { Table } from '../../nftables/model.ts';
import { Transaction } from '../../nftables/transaction.ts';
import { errorCode } from '../../util/errors.ts';

/** What nfnetlink answers where the kernel has no nf_tables (net/netfilter/nfnetlink.c). */
const ABSENT: readonly (string | undefined)[] = ['EPROTONOSUPPORT', 'EINVAL', 'ENOTSUP'];

/** The tables of a family, or of all; none where the kernel has no nf_tables. */
export function listTables(family?: Table['family']): readonly Table[] {
  try {
    return connected((connection) => connection.tables(family));
  } catch (thrown) {
    if (ABSENT.includes(errorCode(thrown))) return [];
    throw thrown;
  }
}

export function hasTable({ family, name }: Table): boolean {
  return listTables(family).some((table) => table.name === name);
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
  const connection = NftablesConnection.open();
  try {
    return use(connection);
  } finally {
    connection.close();
  }
}
