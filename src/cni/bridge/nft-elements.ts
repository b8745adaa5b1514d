/** Elements of tables that several processes share without a lock. */
import type { NamedSet, ObservedElement, Table } from '../../nftables/model.ts';
import { Transaction } from '../../nftables/transaction.ts';
import { errorCode } from '../../util/errors.ts';
import type { Nftables } from '../node.ts';

/** One element and where it is. */
export interface SetElement {
  readonly set: NamedSet;
  readonly key: string;
}

/** What nf_tables says when there is no such object, and when the kernel has no nf_tables. */
const absent: readonly string[] = ['ENOENT', 'EPROTONOSUPPORT'];

/** The errno name when it is one of `expected`, undefined for success; anything else is thrown. */
export function codeOfFailure(commit: () => void, expected: readonly string[]): string | undefined {
  try {
    commit();
    return undefined;
  } catch (thrown) {
    const code = errorCode(thrown);
    if (code === undefined || !expected.includes(code)) throw thrown;
    return code;
  }
}

/** The elements of a set; none when there is no such set, table or nf_tables. */
export function elementsOf(nft: Nftables, table: Table, set: NamedSet): readonly ObservedElement[] {
  let elements: readonly ObservedElement[] = [];
  codeOfFailure(() => {
    elements = nft.elements(table, set);
  }, absent);
  return elements;
}

/**
 * Removes elements; what is not there is no error. When they are not expected to be there, they are
 * looked for first: every batch that fails costs a grace period (nf_tables_abort).
 */
export function removeElements(
  nft: Nftables,
  table: Table,
  elements: readonly SetElement[],
  isExpected: boolean,
): void {
  if (elements.length === 0) return;
  const remove = (some: readonly SetElement[]) => {
    return codeOfFailure(() => nft.commit(removal(table, some)), absent) === undefined;
  };
  if (isExpected && remove(elements)) return;
  const found = present(nft, table, elements);
  if (found.length === 0 || remove(found)) return;
  for (const element of found) remove([element]);
}

function removal(table: Table, elements: readonly SetElement[]): Transaction {
  const transaction = new Transaction(table);
  for (const { set, key } of elements) transaction.deleteElements(set, [{ key }]);
  return transaction;
}

function present(
  nft: Nftables,
  table: Table,
  elements: readonly SetElement[],
): readonly SetElement[] {
  return [...new Set(elements.map(({ set }) => set))].flatMap((set) => {
    const keys = new Set(elementsOf(nft, table, set).map(({ key }) => key));
    return elements.filter((element) => element.set === set && keys.has(element.key));
  });
}
