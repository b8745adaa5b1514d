import type { TableChange } from '../nftables/applier.ts';
import type { Element } from '../nftables/model.ts';

/** Elements by the name of their set. */
export type TableContent = ReadonlyMap<string, readonly Element[]>;

/** What a table is to hold, and what of it has changed since it did. */
export class ContentBook {
  readonly #sets = new Map<string, Map<string, Element>>();
  /** What was there before the first change; undefined for nothing. Of sets that were empty nothing is noted. */
  readonly #before = new Map<string, Map<string, Element | undefined>>();
  readonly #wereEmpty = new Set<string>();

  /** Gives whether that is anything new. */
  put(set: string, element: Element): boolean {
    const elements = this.#elementsOf(set);
    const known = elements.get(element.key);
    if (known !== undefined && isSame(known, element)) return false;
    this.#note(set, element.key, known);
    elements.set(element.key, element);
    return true;
  }

  remove(set: string, key: string): void {
    const elements = this.#elementsOf(set);
    const known = elements.get(key);
    if (known === undefined) return;
    this.#note(set, key, known);
    elements.delete(key);
  }

  /** Leaves nothing else in the set. */
  fill(set: string, wanted: readonly Element[]): void {
    const keys = new Set(wanted.map(({ key }) => key));
    for (const key of [...this.#elementsOf(set).keys()]) if (!keys.has(key)) this.remove(set, key);
    for (const element of wanted) this.put(set, element);
  }

  clear(): void {
    for (const set of this.#sets.keys()) this.fill(set, []);
  }

  /** What makes what was there before into what is to be. */
  changes(): TableChange['elements'] {
    const filled = [...this.#wereEmpty].map((set) => {
      return { set, remove: [], add: [...this.#elementsOf(set).values()] };
    });
    const changed = [...this.#before].map(([set, before]) => this.#changesOf(set, before));
    return [...filled, ...changed].filter(({ remove, add }) => remove.length + add.length > 0);
  }

  /** The table holds what it is to hold. */
  settle(): void {
    this.#before.clear();
    this.#wereEmpty.clear();
    for (const [set, { size }] of this.#sets) if (size === 0) this.#wereEmpty.add(set);
  }

  content(): TableContent {
    return new Map([...this.#sets].map(([set, elements]) => [set, [...elements.values()]]));
  }

  get size(): number {
    let size = 0;
    for (const elements of this.#sets.values()) size += elements.size;
    return size;
  }

  #elementsOf(set: string): Map<string, Element> {
    const known = this.#sets.get(set);
    if (known !== undefined) return known;
    const elements = new Map<string, Element>();
    this.#sets.set(set, elements);
    this.#wereEmpty.add(set);
    return elements;
  }

  #changesOf(set: string, before: ReadonlyMap<string, Element | undefined>) {
    const elements = this.#elementsOf(set);
    const remove: Element[] = [];
    const add: Element[] = [];
    for (const [key, was] of before) {
      const is = elements.get(key);
      if (was !== undefined && is !== undefined && isSame(was, is)) continue;
      if (was !== undefined) remove.push(was);
      if (is !== undefined) add.push(is);
    }
    return { set, remove, add };
  }

  #note(set: string, key: string, was: Element | undefined): void {
    if (this.#wereEmpty.has(set)) return;
    let before = this.#before.get(set);
    if (before === undefined) {
      before = new Map();
      this.#before.set(set, before);
    }
    if (!before.has(key)) before.set(key, was);
  }
}

/** What makes the one out of the other, set by set; empty when they are the same. Pure. */
export function contentDifference(from: TableContent, to: TableContent): TableChange['elements'] {
  return [...new Set([...from.keys(), ...to.keys()])].flatMap((set) => {
    const had = byKey(from.get(set) ?? []);
    const wanted = byKey(to.get(set) ?? []);
    const differs = (one: Element, other: Element | undefined) =>
      other === undefined || !isSame(one, other);
    const remove = [...had.values()].filter((each) => differs(each, wanted.get(each.key)));
    const add = [...wanted.values()].filter((each) => differs(each, had.get(each.key)));
    return remove.length + add.length === 0 ? [] : [{ set, remove, add }];
  });
}

function byKey(elements: readonly Element[]): ReadonlyMap<string, Element> {
  return new Map(elements.map((element) => [element.key, element]));
}

function isSame(a: Element, b: Element): boolean {
  return a.data === b.data && (a.keyEnd ?? a.key) === (b.keyEnd ?? b.key);
}
