import { u32Bytes } from '../../../nftables/bytes.ts';
import type { Element } from '../../../nftables/model.ts';
import type { SetName } from './sets.ts';

/**
 * The elements found in the kernel that nobody has asked for yet. Taking one out means that it is
 * accounted for; what remains in the end is of no Service.
 */
export class ObservedElements {
  readonly #sets: Map<string, Map<string, Element>>;
  /** By frontend; all of them have keys of the same length. */
  #ranges: ReadonlyMap<string, readonly Element[]> | undefined;

  constructor(sets: ReadonlyMap<string, readonly Element[]>) {
    this.#sets = new Map(
      [...sets].map(([name, elements]) => [
        name,
        new Map(elements.map((element) => [elementIdentity(element), element])),
      ]),
    );
  }

  take(set: SetName, wanted: Element): Element | undefined {
    const identity = elementIdentity(wanted);
    const elements = this.#sets.get(set);
    const element = elements?.get(identity);
    elements?.delete(identity);
    return element;
  }

  /** The source ranges of a frontend, whatever their ends. */
  takeSourceRanges(frontend: string): readonly Element[] {
    this.#ranges ??= Map.groupBy(this.values('source-ranges'), ({ key }) =>
      key.slice(0, frontend.length),
    );
    const ranges = this.#ranges.get(frontend) ?? [];
    return ranges.flatMap((range) => this.take('source-ranges', range) ?? []);
  }

  peek(set: SetName, key: string): Element | undefined {
    return this.#sets.get(set)?.get(key);
  }

  /** All elements of a set that are left. */
  *values(set: SetName): Iterable<Element> {
    yield* this.#sets.get(set)?.values() ?? [];
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

  *rest(sets: readonly SetName[]): Iterable<readonly [SetName, Element]> {
    for (const set of sets) for (const element of this.values(set)) yield [set, element];
  }
}

/** What makes an element another one: its key, both ends of it where it is a range. */
export function elementIdentity({ key, keyEnd = '' }: Element): string {
  return key + keyEnd;
}
