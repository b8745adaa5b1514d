import type { Element } from './model.ts';

/** FNV-1a, with two seeds: sums of 64 bits. */
const PRIME = 0x01000193;
const SEEDS = [0x811c9dc5, 0x9747b28c] as const;

/**
 * A number for the content of a set that does not depend on the order of its elements and takes no
 * memory: two sets with equal digests have equal keys, data and comments.
 */
export class ElementDigest {
  #count = 0;
  #low = 0;
  #high = 0;

  get count(): number {
    return this.#count;
  }

  add({ key, keyEnd = '', data = '', comment = '' }: Element): void {
    const text = `${key}\n${keyEnd}\n${data}\n${comment}`;
    let [low, high]: readonly [number, number] = SEEDS;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      low = Math.imul(low ^ code, PRIME);
      high = Math.imul(high ^ code, PRIME);
    }
    this.#count++;
    this.#low = (this.#low + low) | 0;
    this.#high = (this.#high + high) | 0;
  }

  equals(other: ElementDigest): boolean {
    return this.#count === other.#count && this.#low === other.#low && this.#high === other.#high;
  }
}
