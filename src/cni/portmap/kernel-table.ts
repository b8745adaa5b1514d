/** Brings elements into the kernel's table and out of it; callers hold the lock of the store. */
import { markedTable } from '../../nftables/digest.ts';
import type { Element, NamedSet } from '../../nftables/model.ts';
import { Transaction } from '../../nftables/transaction.ts';
import { errorCode } from '../../util/errors.ts';
import type { Nftables } from '../node.ts';
import { hostPortMaps, hostPortTable, recordElements, subnetChains } from './layout.ts';
import type { HostPortRecord } from './record.ts';

/** A kernel without nf_tables, or without its family `inet`. */
export const withoutNftables: readonly string[] = ['EPROTONOSUPPORT', 'EAFNOSUPPORT', 'ENOTSUP'];

/** Something the elements need is missing, or is there with another content. */
const tableDiffers: readonly string[] = ['ENOENT', 'EEXIST', 'EBUSY'];

type Committer = Pick<Nftables, 'commit'>;

/**
 * Adds what the record says: usually one small batch. When table, chain or set are missing, or an
 * element is there already and leads elsewhere, the whole table is made anew from `all`, which are
 * the records of the store including this one.
 */
export function publish(
  nft: Pick<Nftables, 'commit' | 'tables'>,
  record: HostPortRecord,
  all: () => readonly HostPortRecord[],
): void {
  const transaction = new Transaction(hostPortTable.table);
  for (const { map, elements } of recordElements(record)) transaction.addElements(map, elements);
  if (transaction.size === 0) {
    // Nothing of it is an element, but 127.0.0.0/8 is guarded by the table.
    succeeds(() => (hasTable(nft) ? undefined : replaceTable(nft, all())), withoutNftables);
    return;
  }
  if (!succeeds(() => nft.commit(transaction), tableDiffers)) replaceTable(nft, all());
}

/**
 * Removes what the record says. When some of it is not there, somebody else has changed the table,
 * and it is made anew from `others`, the records that stay.
 */
export function withdraw(
  nft: Pick<Nftables, 'commit' | 'tables'>,
  record: HostPortRecord,
  others: () => readonly HostPortRecord[],
): void {
  const transaction = new Transaction(hostPortTable.table);
  for (const { map, elements } of recordElements(record)) transaction.deleteElements(map, elements);
  const codes = ['ENOENT', ...withoutNftables];
  if (succeeds(() => nft.commit(transaction), codes)) return;
  const rest = others();
  if (rest.length > 0 || hasTable(nft)) replaceTable(nft, rest);
}

/** One transaction: the table goes, with everything in it, and comes with what the records say. */
export function replaceTable(nft: Committer, records: readonly HostPortRecord[]): void {
  const { sets, chains } = hostPortTable;
  const allChains = [...chains, ...subnetChains(records)];
  const transaction = new Transaction(markedTable(hostPortTable));
  transaction.addTable().deleteTable().addTable();
  for (const set of sets) transaction.addSet(set);
  for (const chain of allChains) transaction.addChain({ ...chain, rules: [] });
  for (const chain of allChains) {
    for (const rule of chain.rules) transaction.addRule(chain.name, rule);
  }
  for (const [map, elements] of elementsOf(records)) transaction.addElements(map, elements);
  nft.commit(transaction);
}

/** What records put into each map; a map without any is there, too. */
export function elementsOf(
  records: readonly HostPortRecord[],
): ReadonlyMap<NamedSet, readonly Element[]> {
  const content = new Map<NamedSet, Element[]>(hostPortMaps.map((map) => [map, []]));
  for (const record of records) {
    for (const { map, elements } of recordElements(record)) {
      for (const element of elements) content.get(map)?.push(element);
    }
  }
  return content;
}

function hasTable(nft: Pick<Nftables, 'tables'>): boolean {
  let isThere = false;
  const { family, name } = hostPortTable.table;
  succeeds(() => {
    isThere = nft.tables(family).some((table) => table.name === name);
  }, withoutNftables);
  return isThere;
}

/** False when it fails with one of these errno names; anything else is thrown. */
function succeeds(action: () => void, codes: readonly string[]): boolean {
  try {
    action();
    return true;
  } catch (thrown) {
    const code = errorCode(thrown);
    if (code === undefined || !codes.includes(code)) throw thrown;
    return false;
  }
}
