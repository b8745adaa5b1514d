import { type Cidr, containsCidr } from '../net/cidr.ts';
import { rangesOf } from './blocks.ts';
import type { ContentBook } from './content.ts';
import { FAMILIES, SETS } from './table/sets.ts';

/** Who is told of a refusal: networks of the cluster, and those of owners that are outside of them. */
export class Inside {
  readonly #book: ContentBook;
  readonly #cidrs: readonly Cidr[];
  readonly #owned = new Map<string, readonly Cidr[]>();
  #isChanged = true;

  constructor(book: ContentBook, cidrs: readonly Cidr[]) {
    this.#book = book;
    this.#cidrs = cidrs;
  }

  /** Replaces what the owner has. */
  set(owner: string, networks: readonly Cidr[]): void {
    const outside = networks.filter((own) => !this.#cidrs.some((cidr) => containsCidr(cidr, own)));
    const before = this.#owned.get(owner) ?? [];
    if (before.length === outside.length && before.every((own, i) => own === outside[i])) return;
    this.#isChanged = true;
    if (outside.length === 0) this.#owned.delete(owner);
    else this.#owned.set(owner, outside);
  }

  settle(): void {
    if (!this.#isChanged) return;
    this.#isChanged = false;
    const networks = [...this.#cidrs, ...[...this.#owned.values()].flat()];
    for (const family of FAMILIES) {
      const ranges = rangesOf(networks, family);
      this.#book.fill(
        SETS[family].inside.name,
        ranges.map(({ first, last }) =>
          first === last ? { key: first } : { key: first, keyEnd: last },
        ),
      );
    }
  }
}
