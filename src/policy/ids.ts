import { hash } from 'node:crypto';
import { numberBytes } from '../nftables/bytes.ts';

/** Enough that nobody finds two texts with the same one. */
const DIGEST_CHARACTERS = 32;
const ID_CHARACTERS = 8;

export function digestOf(text: string): string {
  return hash('sha256', text).slice(0, DIGEST_CHARACTERS);
}

/**
 * Numbers for texts: the same text gets the same number in every process, so that a restart finds the
 * kernel's elements as it would make them. Where two texts want one number, the later gets the next.
 */
export class IdBook {
  readonly #ids = new Map<string, number>();
  readonly #taken = new Set<number>();

  /** 1 to 2^32 - 1. */
  take(text: string): number {
    const known = this.#ids.get(text);
    if (known !== undefined) return known;
    let id = Number.parseInt(digestOf(text).slice(0, ID_CHARACTERS), 16);
    while (id === 0 || this.#taken.has(id)) id = (id + 1) >>> 0;
    this.#ids.set(text, id);
    this.#taken.add(id);
    return id;
  }

  release(text: string): void {
    const id = this.#ids.get(text);
    if (id === undefined) return;
    this.#ids.delete(text);
    this.#taken.delete(id);
  }
}

/**
 * As data of maps whose values are keys: nft aborts when it lists a rule in which a key begins where a
 * map's value begins, so the value has a field in front.
 */
export function idData(id: number): string {
  return `\0\0\0\0${idBytes(id)}`;
}

/** Register bytes in network order, as ranges need them: number 10 is listed as 0.0.0.10. */
export function idBytes(id: number): string {
  return numberBytes(id);
}
