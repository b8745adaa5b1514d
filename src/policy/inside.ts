import type { Cidr } from '../net/cidr.ts';
import { containsIP } from '../net/cidr.ts';
import { type IP, ipFamily } from '../net/ip.ts';
import { ipBytes } from '../nftables/bytes.ts';
import { joined, rangesOf } from './blocks.ts';
import type { ContentBook } from './content.ts';
import { FAMILIES, SETS } from './table/sets.ts';

/** Who is told of a refusal: networks, and addresses outside of them by their owners. */
export class Inside {
  readonly #book: ContentBook;
  readonly #cidrs: readonly Cidr[];
  readonly #owned = new Map<string, readonly IP[]>();
  #isChanged = true;

  constructor(book: ContentBook, cidrs: readonly Cidr[]) {
    this.#book = book;
    this.#cidrs = cidrs;
  }

  /** Replaces what the owner has. */
  set(owner: string, ips: readonly IP[]): void {
    const outside = ips.filter((ip) => !this.#cidrs.some((cidr) => containsIP(cidr, ip)));
    const before = this.#owned.get(owner) ?? [];
    if (before.length === outside.length && before.every((ip, i) => ip === outside[i])) return;
    this.#isChanged = true;
    if (outside.length === 0) this.#owned.delete(owner);
    else this.#owned.set(owner, outside);
  }

  settle(): void {
    if (!this.#isChanged) return;
    this.#isChanged = false;
    const ips = [...this.#owned.values()].flat();
    for (const family of FAMILIES) {
      const own = ips.filter((ip) => ipFamily(ip) === family).map(ipBytes);
      const ranges = joined([
        ...rangesOf(this.#cidrs, family),
        ...own.map((bytes) => ({ first: bytes, last: bytes })),
      ]);
      this.#book.fill(
        SETS[family].inside.name,
        ranges.map(({ first, last }) =>
          first === last ? { key: first } : { key: first, keyEnd: last },
        ),
      );
    }
  }
}
