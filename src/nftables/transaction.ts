import type { Chain, Element, NamedSet, Rule, Table } from './model.ts';

/** A step that concerns one object and becomes one message. */
export type ObjectOperation =
  | { readonly kind: 'addTable'; readonly isExclusive: boolean }
  | { readonly kind: 'resetTableFlags' | 'deleteTable' }
  | { readonly kind: 'addChain'; readonly chain: Chain; readonly isExclusive: boolean }
  | { readonly kind: 'flushChain'; readonly chain: string }
  | { readonly kind: 'deleteChain'; readonly chain: string }
  | { readonly kind: 'addRule'; readonly chain: string; readonly rule: Rule }
  | {
      readonly kind: 'insertRule';
      readonly chain: string;
      readonly rule: Rule;
      readonly before?: bigint;
    }
  | { readonly kind: 'deleteRule'; readonly chain: string; readonly handle: bigint }
  | { readonly kind: 'addSet'; readonly set: NamedSet; readonly isExclusive: boolean }
  | { readonly kind: 'deleteSet'; readonly set: string }
  | { readonly kind: 'flushSet'; readonly set: string };

/** A step that concerns many elements of one set. */
export interface ElementOperation {
  readonly kind: 'addElements' | 'deleteElements';
  readonly set: NamedSet;
  readonly elements: readonly Element[];
}

/** One step of a transaction. */
export type Operation = ObjectOperation | ElementOperation;

export interface AddOptions {
  /** Fails with EEXIST when the object exists; otherwise adding it again changes nothing. */
  readonly isExclusive?: boolean;
}

/**
 * What shall happen to one table, in this order and all or nothing. Objects are referred to by name
 * and may have been added earlier in the same transaction. Commit it with NftablesConnection.
 */
export class Transaction {
  readonly table: Table;
  readonly #operations: Operation[] = [];

  constructor(table: Table) {
    this.table = table;
  }

  get operations(): readonly Operation[] {
    return this.#operations;
  }

  /** Objects touched: every element counts as one. */
  get size(): number {
    let size = 0;
    for (const operation of this.#operations) {
      size += 'elements' in operation ? operation.elements.length : 1;
    }
    return size;
  }

  /** The comment of a table that exists stays as it is. */
  addTable(options: AddOptions = {}): this {
    return this.#push({ kind: 'addTable', isExclusive: options.isExclusive ?? false });
  }

  /** Wakes a table that somebody has made dormant; other flags cannot be taken off. */
  resetTableFlags(): this {
    return this.#push({ kind: 'resetTableFlags' });
  }

  /** With everything in it. */
  deleteTable(): this {
    return this.#push({ kind: 'deleteTable' });
  }

  /** With its rules, which are appended when the chain exists already. */
  addChain(chain: Chain, options: AddOptions = {}): this {
    this.#push({ kind: 'addChain', chain, isExclusive: options.isExclusive ?? false });
    for (const rule of chain.rules) this.addRule(chain.name, rule);
    return this;
  }

  /** Deletes all rules of the chain. */
  flushChain(chain: string): this {
    return this.#push({ kind: 'flushChain', chain });
  }

  /** With its rules. EBUSY while a rule or a verdict map element refers to it. */
  deleteChain(chain: string): this {
    return this.#push({ kind: 'deleteChain', chain });
  }

  /** Appends; the chains it jumps to must exist. */
  addRule(chain: string, rule: Rule): this {
    return this.#push({ kind: 'addRule', chain, rule });
  }

  /** Puts it in front of the rule with the handle `before`, or of all rules of the chain. */
  insertRule(chain: string, rule: Rule, before?: bigint): this {
    const place = before === undefined ? {} : { before };
    return this.#push({ kind: 'insertRule', chain, rule, ...place });
  }

  /** By the handle that listing the rules gave; ENOENT when it is not there. */
  deleteRule(chain: string, handle: bigint): this {
    return this.#push({ kind: 'deleteRule', chain, handle });
  }

  addSet(set: NamedSet, options: AddOptions = {}): this {
    return this.#push({ kind: 'addSet', set, isExclusive: options.isExclusive ?? false });
  }

  /** EBUSY while a rule refers to it. */
  deleteSet(set: string): this {
    return this.#push({ kind: 'deleteSet', set });
  }

  /** Deletes all elements of the set. */
  flushSet(set: string): this {
    return this.#push({ kind: 'flushSet', set });
  }

  /** An element that is there already with other data is an error: delete it first. */
  addElements(set: NamedSet, elements: readonly Element[]): this {
    return elements.length === 0 ? this : this.#push({ kind: 'addElements', set, elements });
  }

  /** Only keys matter. An element that is not there is an error. */
  deleteElements(set: NamedSet, elements: readonly Element[]): this {
    return elements.length === 0 ? this : this.#push({ kind: 'deleteElements', set, elements });
  }

  #push(operation: Operation): this {
    this.#operations.push(operation);
    return this;
  }
}
