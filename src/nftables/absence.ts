/** Kernels without nf_tables, and tables that are not there. */
import { errorCode } from '../util/errors.ts';
import type { NftablesConnection } from './connection.ts';
import type { ListedTable } from './decode.ts';
import type { Table, TableFamily } from './model.ts';

/**
 * No netlink socket for netfilter, nfnetlink without nf_tables (a batch; see connection.ts for
 * requests), and nf_tables without the family.
 */
export const WITHOUT_NFTABLES: readonly string[] = ['EPROTONOSUPPORT', 'ENOTSUP', 'EAFNOSUPPORT'];

type Lister = Pick<NftablesConnection, 'tables'>;

/** Whether an error of NftablesConnection means that the kernel has no nf_tables, or not this family. */
export function isWithoutNftables(error: unknown): boolean {
  return WITHOUT_NFTABLES.includes(errorCode(error) ?? '');
}

/** The tables of a family, or of all; none where the kernel has no nf_tables. */
export function listTables(nft: Lister, family?: TableFamily): readonly ListedTable[] {
  try {
    return nft.tables(family);
  } catch (thrown) {
    if (isWithoutNftables(thrown)) return [];
    throw thrown;
  }
}

export function hasTable(nft: Lister, { family, name }: Table): boolean {
  return listTables(nft, family).some((table) => table.name === name);
}
