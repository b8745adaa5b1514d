import { isSameBase, isSameSet } from './compare-objects.ts';
import type { NftablesConnection } from './connection.ts';
import { TABLE_FLAG } from './constants.ts';
import type { ListedTable, ObservedChain } from './decode.ts';
import { markedTable } from './digest.ts';
import { tableFlags } from './encode-objects.ts';
import type { Chain, Element, NamedSet, ObservedElement, Table, TableDefinition } from './model.ts';
import { Transaction } from './transaction.ts';

/** Changes to apply in one transaction; the definition's sets are named, others are an error. */
export interface TableChange {
  /** Created, or their rules replaced. They may jump to each other in any order. */
  readonly chains?: readonly Chain[];
  /** Deleted last, when nothing leads to them any more. */
  readonly removedChains?: readonly string[];
  /** Removals come before additions, so a key in both is replaced. */
  readonly elements: readonly {
    readonly set: string;
    readonly remove: readonly Element[];
    readonly add: readonly Element[];
  }[];
}

/** What of a table is in the kernel. */
export interface ObservedTable {
  /**
   * Sets, hooks and flags are what the definition says and nothing else is there, but for more
   * regular chains: what is `damaged` or `isDormant` can be put right in place.
   */
  readonly isAsDefined: boolean;
  /** Somebody has taken the table off its hooks. */
  readonly isDormant: boolean;
  /** A base chain is there; without one no packet ever meets the table. */
  readonly isHooked: boolean;
  /** Chains of the definition that are missing or have other rules; empty unless `isAsDefined`. */
  readonly damaged: readonly Chain[];
  /** By set name, without sets that rules fill; empty unless `isAsDefined`. */
  readonly elements: ReadonlyMap<string, readonly ObservedElement[]>;
  /** All chains, those of the definition among them. */
  readonly chains: readonly ObservedChain[];
}

/** There is no such table. */
export const NO_TABLE: ObservedTable = {
  isAsDefined: false,
  isDormant: false,
  isHooked: false,
  damaged: [],
  elements: new Map(),
  chains: [],
};

/** Keeps one table as its definition says and applies changes to what is in it. */
export class TableApplier {
  readonly #connection: NftablesConnection;
  readonly #definition: TableDefinition;
  readonly #table: Table;
  readonly #sets: ReadonlyMap<string, NamedSet>;

  constructor(connection: NftablesConnection, definition: TableDefinition) {
    this.#connection = connection;
    this.#definition = definition;
    this.#table = markedTable(definition);
    this.#sets = new Map(definition.sets.map((set) => [set.name, set]));
  }

  /** Reads the table and compares it with the definition. Changes nothing. */
  observe(): ObservedTable {
    const { family, name } = this.#table;
    const found = this.#connection.tables(family).find((table) => table.name === name);
    if (found === undefined) return NO_TABLE;
    const chains = this.#connection.chains(this.#table);
    const isDormant = (found.flags & TABLE_FLAG.DORMANT) !== 0;
    const isHooked = chains.some(({ base }) => base !== undefined);
    const state = { isDormant, isHooked, chains };
    if (!this.#isAsDefined(found, chains)) return { ...NO_TABLE, ...state };
    const elements = new Map<string, readonly ObservedElement[]>();
    for (const set of this.#definition.sets) {
      if (set.isDynamic) continue;
      elements.set(set.name, this.#connection.elements(this.#table, set));
    }
    const damaged = this.#connection.damagedChains(this.#table, this.#definition.chains);
    return { ...state, isAsDefined: true, damaged, elements };
  }

  /** Puts a dormant table back on its hooks, whatever is in it. */
  wake(): void {
    this.#connection.commit(new Transaction(this.#table).resetTableFlags());
  }

  /** Applies the change in one transaction. Throws NftablesError; then nothing has changed. */
  apply(change: TableChange): void {
    const transaction = new Transaction(this.#table);
    addChange(transaction, this.#definition.sets, change);
    this.#connection.commit(transaction);
  }

  /** One transaction: the old table goes, with everything in it, the new one has the content. */
  replace(content: TableChange): void {
    this.#makeAnew(content, this.#baseChains);
  }

  /**
   * As `replace`, but without base chains: no packet meets the table until `hook`, so that it can be
   * filled in as many transactions as it takes, none of which validates what others have added.
   */
  prepare(content: TableChange): void {
    this.#makeAnew(content, []);
  }

  /** Adds the base chains: from here on packets pass through the table. */
  hook(): void {
    this.apply({ chains: this.#baseChains, elements: [] });
  }

  get #baseChains(): readonly Chain[] {
    return baseChainsOf(this.#definition);
  }

  #makeAnew(content: TableChange, baseChains: readonly Chain[]): void {
    this.#connection.commit(tableReplacement(this.#definition, content, baseChains));
  }

  #isAsDefined({ comment, flags }: ListedTable, chains: readonly ObservedChain[]): boolean {
    return (
      comment === this.#table.comment &&
      (flags & ~TABLE_FLAG.DORMANT) === tableFlags(this.#table) &&
      this.#hasSets() &&
      this.#hasBases(chains) &&
      this.#connection.otherObjects(this.#table).length === 0
    );
  }

  #hasSets(): boolean {
    const observed = this.#connection.sets(this.#table);
    return (
      observed.length === this.#sets.size &&
      observed.every((set) => {
        const defined = this.#sets.get(set.name);
        return defined !== undefined && isSameSet(defined, set);
      })
    );
  }

  /** Additional regular chains may be the content of somebody who uses `apply`. */
  #hasBases(observed: readonly ObservedChain[]): boolean {
    const defined = new Map(this.#definition.chains.map((chain) => [chain.name, chain.base]));
    return observed.every((chain) => isSameBase(defined.get(chain.name), chain.base));
  }
}

/**
 * The table with everything in it goes, the one of the definition with this content comes. Base
 * chains are the last, whether they come with it or later, so that the listing is the same.
 */
export function tableReplacement(
  definition: TableDefinition,
  content: TableChange,
  baseChains = baseChainsOf(definition),
): Transaction {
  const regular = definition.chains.filter(({ base }) => base === undefined);
  const chains = [...regular, ...(content.chains ?? []), ...baseChains];
  const transaction = new Transaction(markedTable(definition));
  transaction.addTable().deleteTable().addTable();
  for (const set of definition.sets) transaction.addSet(set);
  for (const chain of chains) transaction.addChain({ ...chain, rules: [] });
  for (const { name, rules } of chains) for (const rule of rules) transaction.addRule(name, rule);
  addChange(transaction, definition.sets, { ...content, chains: [] });
  return transaction;
}

function baseChainsOf({ chains }: TableDefinition): readonly Chain[] {
  return chains.filter(({ base }) => base !== undefined);
}

function addChange(
  transaction: Transaction,
  sets: readonly NamedSet[],
  { chains = [], removedChains = [], elements }: TableChange,
): void {
  for (const chain of chains) transaction.addChain({ ...chain, rules: [] });
  for (const chain of chains) {
    transaction.flushChain(chain.name);
    for (const rule of chain.rules) transaction.addRule(chain.name, rule);
  }
  for (const { set: name, remove, add } of elements) {
    const set = sets.find((each) => each.name === name);
    if (set === undefined) throw new RangeError(`set ${name}: not in the definition`);
    transaction.deleteElements(set, remove).addElements(set, add);
  }
  for (const name of removedChains) transaction.deleteChain(name);
}
