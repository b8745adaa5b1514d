import { u32Bytes } from '../../nftables/bytes.ts';
import type { Element } from '../../nftables/model.ts';
import type { SetName } from './layout.ts';

/**
 * The elements found in the kernel that nobody has asked for yet. Taking one out means that it is
 * accounted for; what remains in the end is of no Service.
 */
export class ObservedElements {
  readonly #sets: Map<string, Map<string, Element>>;

  constructor(sets: ReadonlyMap<string, readonly Element[]>) {
    this.#sets = new Map(
      [...sets].map(([name, elements]) => [
        name,
        new Map(elements.map((element) => [element.key, element])),
      ]),
    );
  }

  take(set: SetName, key: string): Element | undefined {
    const elements = this.#sets.get(set);
    const element = elements?.get(key);
    elements?.delete(key);
    return element;
  }

  /** The data of the slots 0, 1, ... of a frontend, up to the first that is missing. */
  peekSlots(set: SetName, frontend: string): readonly string[] {
    const elements = this.#sets.get(set);
    const slots: string[] = [];
    for (;;) {
      const data = elements?.get(frontend + u32Bytes(slots.length))?.data;
      if (data === undefined) return slots;
      slots.push(data);
    }
  }

  *rest(sets: readonly SetName[]): Iterable<{ readonly set: SetName; readonly key: string }> {
    for (const set of sets) {
      for (const key of this.#sets.get(set)?.keys() ?? []) yield { set, key };
    }
  }
}
