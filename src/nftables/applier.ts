import type { NftablesConnection } from './connection.ts';
import type { ObservedChain, ObservedSet } from './decode.ts';
import { markedTable } from './digest.ts';
import { packedType, setFlags } from './encode-objects.ts';
import type {
  BaseChain,
  Chain,
  Element,
  NamedSet,
  ObservedElement,
  Table,
  TableDefinition,
} from './model.ts';
import { keyLength } from './registers.ts';
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
  /** Sets, chains and rules are what the definition says; more regular chains may exist. */
  readonly isAsDefined: boolean;
  /** By set name, without sets that rules fill; empty unless `isAsDefined`. */
  readonly elements: ReadonlyMap<string, readonly ObservedElement[]>;
  /** All chains, those of the definition among them. */
  readonly chains: readonly ObservedChain[];
}

export interface AdoptedTable {
  /** Elements now in the kernel, by set name. */
  readonly elements: ReadonlyMap<string, readonly ObservedElement[]>;
  /** Chains now in the kernel, those of the definition among them. */
  readonly chains: readonly ObservedChain[];
  /** The table was missing or different and has been made anew, without elements. */
  readonly wasRebuilt: boolean;
}

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

  /**
   * Makes the table match the definition: leaves it untouched when it does, with all elements and
   * additional chains, else replaces it by one without elements in one transaction. To replace a
   * table in use without a gap, call `observe` and then `replace` with its whole content.
   */
  adopt(): AdoptedTable {
    const observed = this.observe();
    if (observed.isAsDefined) return { ...observed, wasRebuilt: false };
    this.replace({ elements: [] });
    const elements = new Map(this.#definition.sets.map((set) => [set.name, []]));
    return { elements, chains: this.#connection.chains(this.#table), wasRebuilt: true };
  }

  /** Reads the table and compares it with the definition. Changes nothing. */
  observe(): ObservedTable {
    const { family, name, comment } = this.#table;
    const found = this.#connection.tables(family).find((table) => table.name === name);
    if (found === undefined) return { isAsDefined: false, elements: new Map(), chains: [] };
    const chains = this.#connection.chains(this.#table);
    const isAsDefined =
      found.comment === comment && this.#hasSets() && this.#hasChains(chains) && this.#hasRules();
    const elements = new Map<string, readonly ObservedElement[]>();
    if (isAsDefined) {
      for (const set of this.#definition.sets) {
        if (set.isDynamic) continue;
        elements.set(set.name, this.#connection.elements(this.#table, set));
      }
    }
    return { isAsDefined, elements, chains };
  }

  /** Applies the change in one transaction. Throws NftablesError; then nothing has changed. */
  apply(change: TableChange): void {
    const transaction = new Transaction(this.#table);
    this.#addChange(transaction, change);
    this.#connection.commit(transaction);
  }

  /** One transaction: the old table goes, with everything in it, the new one has the content. */
  replace(content: TableChange): void {
    const { sets, chains } = this.#definition;
    const transaction = new Transaction(this.#table).addTable().deleteTable().addTable();
    for (const set of sets) transaction.addSet(set);
    this.#addChange(transaction, { ...content, chains: [...chains, ...(content.chains ?? [])] });
    this.#connection.commit(transaction);
  }

  #addChange(transaction: Transaction, change: TableChange): void {
    const { chains = [], removedChains = [], elements } = change;
    for (const chain of chains) transaction.addChain({ ...chain, rules: [] });
    for (const chain of chains) {
      transaction.flushChain(chain.name);
      for (const rule of chain.rules) transaction.addRule(chain.name, rule);
    }
    for (const { set, remove, add } of elements) {
      const definition = this.#setNamed(set);
      transaction.deleteElements(definition, remove).addElements(definition, add);
    }
    for (const name of removedChains) transaction.deleteChain(name);
  }

  #setNamed(name: string): NamedSet {
    const set = this.#sets.get(name);
    if (set === undefined) throw new RangeError(`set ${name}: not in the definition`);
    return set;
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

  /** Additional regular chains are the content of somebody who uses `apply`. */
  #hasChains(observed: readonly ObservedChain[]): boolean {
    const defined = new Map(this.#definition.chains.map((chain) => [chain.name, chain]));
    const known = observed.filter((chain) => defined.has(chain.name));
    return (
      known.length === defined.size &&
      observed.every((chain) => isSameBase(defined.get(chain.name)?.base, chain.base))
    );
  }

  #hasRules(): boolean {
    const counts = this.#connection.ruleCounts(this.#table);
    return this.#definition.chains.every(
      (chain) => (counts.get(chain.name) ?? 0) === chain.rules.length,
    );
  }
}

function isSameSet(defined: NamedSet, observed: ObservedSet): boolean {
  return (
    setFlags(defined) === observed.flags &&
    packedType(defined.key) === observed.keyType &&
    keyLength(defined.key) === observed.keyBytes &&
    isSameData(defined.data, observed.data) &&
    (defined.hasCounters ?? false) === observed.hasCounters
  );
}

function isSameData(defined: NamedSet['data'], observed: ObservedSet['data']): boolean {
  if (typeof defined !== 'object' || typeof observed !== 'object') return defined === observed;
  return packedType(defined) === observed.type && keyLength(defined) === observed.bytes;
}

function isSameBase(defined: BaseChain | undefined, observed: BaseChain | undefined): boolean {
  if (defined === undefined || observed === undefined) return defined === observed;
  return (
    defined.type === observed.type &&
    defined.hook === observed.hook &&
    defined.priority === observed.priority &&
    (defined.policy ?? 'accept') === observed.policy
  );
}
