/** Brings elements into the kernel's table and out of it; callers hold the lock of the store. */
import { hasTable, WITHOUT_NFTABLES } from '../../nftables/absence.ts';
import { tableReplacement } from '../../nftables/applier.ts';
import type { Element, NamedSet } from '../../nftables/model.ts';
import { Transaction } from '../../nftables/transaction.ts';
import { succeedsUnless } from '../../util/errno.ts';
import type { HostPortRecord } from '../host-ports.ts';
import type { Nftables } from '../node.ts';
import { conditionChains } from './condition-chains.ts';
import { HOST_PORT_MAPS, HOST_PORT_TABLE, recordChains, recordElements } from './layout.ts';

/** Something the elements need is missing, or is there with another content. */
const TABLE_DIFFERS: readonly string[] = ['ENOENT', 'EEXIST', 'EBUSY'];

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
  const transaction = new Transaction(HOST_PORT_TABLE.table);
  if (hasConditions(record)) rewriteConditions(transaction, all());
  for (const { map, elements } of recordElements(record)) transaction.addElements(map, elements);
  if (transaction.size === 0) {
    // Nothing of it is an element, but 127.0.0.0/8 is guarded by the table.
    succeedsUnless(WITHOUT_NFTABLES, () => {
      if (!hasTable(nft, HOST_PORT_TABLE.table)) replaceTable(nft, all());
    });
    return;
  }
  if (!succeedsUnless(TABLE_DIFFERS, () => nft.commit(transaction))) replaceTable(nft, all());
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
  const transaction = new Transaction(HOST_PORT_TABLE.table);
  for (const { map, elements } of recordElements(record)) transaction.deleteElements(map, elements);
  if (hasConditions(record)) rewriteConditions(transaction, others());
  if (succeedsUnless(['ENOENT', ...WITHOUT_NFTABLES], () => nft.commit(transaction))) return;
  const rest = others();
  if (rest.length > 0 || hasTable(nft, HOST_PORT_TABLE.table)) replaceTable(nft, rest);
}

/** One transaction: the table goes, with everything in it, and comes with what the records say. */
export function replaceTable(nft: Committer, records: readonly HostPortRecord[]): void {
  const elements = Array.from(elementsOf(records), ([{ name: set }, add]) => {
    return { set, remove: [], add };
  });
  nft.commit(tableReplacement(HOST_PORT_TABLE, { chains: recordChains(records), elements }));
}

function hasConditions({ ports, iptables }: HostPortRecord): boolean {
  return iptables === undefined && ports.some(({ condition }) => condition !== undefined);
}

/** No rule can be added that is there already, so all of them are. */
function rewriteConditions(transaction: Transaction, records: readonly HostPortRecord[]): void {
  for (const { name, rules } of conditionChains(records)) {
    transaction.flushChain(name);
    for (const rule of rules) transaction.addRule(name, rule);
  }
}

/** What records put into each map; a map without any is there, too. */
export function elementsOf(
  records: readonly HostPortRecord[],
): ReadonlyMap<NamedSet, readonly Element[]> {
  const content = new Map<NamedSet, Element[]>(HOST_PORT_MAPS.map((map) => [map, []]));
  for (const record of records) {
    for (const { map, elements } of recordElements(record)) {
      for (const element of elements) content.get(map)?.push(element);
    }
  }
  return content;
}
