import { type Cidr, containsCidr } from '../net/cidr.ts';
import { rangesOf } from './blocks.ts';
import type { ContentBook } from './content.ts';
import { FAMILIES, SETS } from './table/sets.ts';

/** Who is told of a refusal: networks of the cluster, and those of owners that are outside of them. */
export class Inside {
  readonly #book: ContentBook;
  /** Undefined: nobody is told. */
  #cidrs: readonly Cidr[] | undefined;
  readonly #owned = new Map<string, readonly Cidr[]>();
  #isChanged = true;

  constructor(book: ContentBook, cidrs: readonly Cidr[] | undefined) {
    this.#book = book;
    this.#cidrs = cidrs;
  }

  get networks(): readonly Cidr[] | undefined {
    return this.#cidrs;
  }

  /** Replaces the networks of the cluster. */
  setNetworks(cidrs: readonly Cidr[] | undefined): void {
    this.#cidrs = cidrs;
    this.#isChanged = true;
  }

  /** Replaces what the owner has. */
  set(owner: string, networks: readonly Cidr[]): void {
    const before = this.#owned.get(owner) ?? [];
    if (before.length === networks.length && before.every((own, i) => own === networks[i])) return;
    if (this.#outside([...before, ...networks]).length > 0) this.#isChanged = true;
    if (networks.length === 0) this.#owned.delete(owner);
    else this.#owned.set(owner, networks);
  }

  settle(): void {
    if (!this.#isChanged) return;
    this.#isChanged = false;
    const owned = this.#outside([...this.#owned.values()].flat());
    const networks = this.#cidrs === undefined ? [] : [...this.#cidrs, ...owned];
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

  /** Of these the ones that the cluster's own do not have already. */
  #outside(networks: readonly Cidr[]): readonly Cidr[] {
    const cidrs = this.#cidrs;
    if (cidrs === undefined) return [];
    return networks.filter((own) => !cidrs.some((cidr) => containsCidr(cidr, own)));
  }
}
