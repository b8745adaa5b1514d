/**
 * A table that several processes share without a lock: whoever needs it first makes it, and nobody
 * takes it away. What is in it are elements, each with its owner.
 */
import { codeOfFailure, unlessErrno } from '../util/errno.ts';
import { BusyError } from '../util/errors.ts';
import { hasTable, WITHOUT_NFTABLES } from './absence.ts';
import { type HealingConnection, healTable } from './heal-table.ts';
import type { Chain, Element, NamedSet, ObservedElement, TableDefinition } from './model.ts';
import { Transaction } from './transaction.ts';

/** What is needed of NftablesConnection. */
export type SharedTableConnection = HealingConnection;

/** One element and where it is; to remove one its key is enough. */
export interface PlacedElement {
  readonly set: NamedSet;
  readonly element: Element;
}

/** Bounds the race with others who create or delete the same table. */
const MAX_ATTEMPTS = 5;
/** There is no such object, or no nf_tables. */
const ABSENT: readonly string[] = ['ENOENT', ...WITHOUT_NFTABLES];

export class SharedTable {
  readonly definition: TableDefinition;

  /** Its chains are those that are always there. */
  constructor(definition: TableDefinition) {
    this.definition = definition;
  }

  /**
   * Makes elements live, all or none, and the chains that they lead to. Usually one small batch; the
   * structure is made when the kernel says ENOENT, and an element that leads elsewhere (left by a
   * former owner) is replaced. `subject` is for the BusyError. Throws NftablesError.
   */
  add(
    nft: SharedTableConnection,
    subject: string,
    elements: readonly PlacedElement[],
    chains: readonly Chain[] = [],
  ): void {
    const transaction = this.#transaction();
    for (const { set, element } of elements) transaction.addElements(set, [element]);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const code = codeOfFailure(['ENOENT', 'EEXIST'], () => nft.commit(transaction));
      if (code === undefined) return;
      if (code === 'ENOENT') this.#ensure(nft, chains);
      else this.remove(nft, elements, { areExpected: true });
    }
    throw new BusyError(`${subject}: table ${this.definition.table.name} keeps changing`);
  }

  /**
   * Removes elements; what is not there is no error, and neither is a kernel without nf_tables. When
   * they are not expected, they are looked for first: every batch that fails costs a grace period
   * (nf_tables_abort).
   */
  remove(
    nft: SharedTableConnection,
    elements: readonly PlacedElement[],
    { areExpected }: { readonly areExpected: boolean },
  ): void {
    if (elements.length === 0) return;
    if (areExpected && this.#removeAll(nft, elements)) return;
    const found = this.#present(nft, elements);
    if (found.length === 0 || this.#removeAll(nft, found)) return;
    for (const element of found) this.#removeAll(nft, [element]);
  }

  /** The elements of a set; none when there is no such set, table or nf_tables. */
  elements(nft: SharedTableConnection, set: NamedSet): readonly ObservedElement[] {
    return unlessErrno(ABSENT, () => nft.elements(this.definition.table, set)) ?? [];
  }

  isThere(nft: SharedTableConnection): boolean {
    return hasTable(nft, this.definition.table);
  }

  /**
   * Exclusive creation: of two creators one wins, and no rule appears twice. A table that is there may be that of
   * another release, with fewer sets or other rules.
   */
  #ensure(nft: SharedTableConnection, chains: readonly Chain[]): void {
    const structure = this.#transaction().addTable({ isExclusive: true });
    for (const set of this.definition.sets) structure.addSet(set, { isExclusive: true });
    for (const chain of this.definition.chains) structure.addChain(chain, { isExclusive: true });
    if (codeOfFailure(['EEXIST'], () => nft.commit(structure)) !== undefined) this.#renew(nft);
    for (const chain of chains) {
      const transaction = this.#transaction().addChain(chain, { isExclusive: true });
      codeOfFailure(['EEXIST', 'ENOENT'], () => nft.commit(transaction));
    }
  }

  #renew(nft: SharedTableConnection): void {
    const { definition } = this;
    healTable(nft, () => ({ definition, elements: new Map(), isOwnChain: () => true }));
  }

  /** Whether all of them were there. */
  #removeAll(nft: SharedTableConnection, elements: readonly PlacedElement[]): boolean {
    const transaction = this.#transaction();
    for (const { set, element } of elements) transaction.deleteElements(set, [element]);
    return codeOfFailure(ABSENT, () => nft.commit(transaction)) === undefined;
  }

  #present(
    nft: SharedTableConnection,
    elements: readonly PlacedElement[],
  ): readonly PlacedElement[] {
    return [...Map.groupBy(elements, ({ set }) => set)].flatMap(([set, placed]) => {
      const keys = new Set(this.elements(nft, set).map(({ key }) => key));
      return placed.filter(({ element }) => keys.has(element.key));
    });
  }

  #transaction(): Transaction {
    return new Transaction(this.definition.table);
  }
}
