import type { TableChange } from '../../../nftables/applier.ts';
import type { Chain, Element } from '../../../nftables/model.ts';
import type { SetName } from './sets.ts';

interface SetChange {
  readonly remove: Element[];
  readonly add: Element[];
}

/** Collects the element operations of one transaction. */
export class ChangeBatch {
  readonly #sets = new Map<SetName, SetChange>();
  readonly #chains = new Map<string, Chain>();
  #size = 0;

  /** Number of operations so far. */
  get size(): number {
    return this.#size;
  }

  /** Removes the element of that key or range. */
  remove(set: SetName, { key, keyEnd }: Element): void {
    this.#set(set).remove.push(keyEnd === undefined ? { key } : { key, keyEnd });
    this.#size++;
  }

  /** Adds an element; together with a removal of its key it replaces what is there. */
  add(set: SetName, element: Element): void {
    this.#set(set).add.push(element);
    this.#size++;
  }

  /** Creates a chain, or replaces its rules. */
  putChain(chain: Chain): void {
    this.#chains.set(chain.name, chain);
    this.#size++;
  }

  build(): TableChange {
    return {
      chains: [...this.#chains.values()],
      elements: [...this.#sets].map(([set, change]) => ({ set, ...change })),
    };
  }

  #set(name: SetName): SetChange {
    const known = this.#sets.get(name);
    if (known !== undefined) return known;
    const created: SetChange = { remove: [], add: [] };
    this.#sets.set(name, created);
    return created;
  }
}
