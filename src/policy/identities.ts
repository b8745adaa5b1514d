/** Identities of addresses and of networks: what policy sets can tell about them, and nothing else. */
import { type IP, type IPFamily, ipFamily } from '../net/ip.ts';
import { ipBytes } from '../nftables/bytes.ts';
import type { Steps } from '../util/turns.ts';
import { type ArrangedRange, arrange, blockRanges, rangeAt } from './blocks.ts';
import type { Claims, PartyClass } from './claims.ts';
import type { ContentBook } from './content.ts';
import { type IdBook, idBytes } from './ids.ts';
import { type ActivePeer, type Identity, identityText, makeIdentity } from './policy-set.ts';
import { FAMILIES, SETS } from './table/sets.ts';

interface Used {
  readonly identity: Identity;
  uses: number;
}

const NO_BLOCKS: readonly ActivePeer[] = [];

type Arranged = readonly ArrangedRange<ActivePeer>[];

export class Identities {
  readonly #ids: IdBook;
  readonly #book: ContentBook;
  readonly #claims: Claims;
  readonly #used = new Map<string, Used>();
  readonly #byAddress = new Map<IP, Identity>();
  readonly #ranges: Record<IPFamily, Arranged> = { 4: [], 6: [] };
  readonly #ofRanges: Record<IPFamily, readonly Identity[]> = { 4: [], 6: [] };
  /** Names of ports that egress rules in use ask for. */
  #names: ReadonlySet<string> = new Set();
  readonly #created = new Set<Identity>();
  readonly #dropped = new Set<Identity>();
  /** Sees an address that is somebody else's than before, by what it was and is to policy sets. */
  readonly #onMove: (
    from: Identity | undefined,
    to: Identity | undefined,
    blocks: readonly ActivePeer[],
  ) => void;

  constructor(
    facts: { readonly ids: IdBook; readonly book: ContentBook; readonly claims: Claims },
    onMove: (
      from: Identity | undefined,
      to: Identity | undefined,
      blocks: readonly ActivePeer[],
    ) => void,
  ) {
    this.#ids = facts.ids;
    this.#book = facts.book;
    this.#claims = facts.claims;
    this.#onMove = onMove;
  }

  *[Symbol.iterator](): Generator<Identity> {
    for (const { identity } of this.#used.values()) yield identity;
  }

  get count(): number {
    return this.#used.size;
  }

  /** What is called by its number in rows since this was taken last, or not any more. */
  takeChanges(): { readonly created: readonly Identity[]; readonly dropped: readonly Identity[] } {
    const changes = { created: [...this.#created], dropped: [...this.#dropped] };
    this.#created.clear();
    this.#dropped.clear();
    return changes;
  }

  setNames(names: ReadonlySet<string>): void {
    const isSame = names.size === this.#names.size && [...names].every((n) => this.#names.has(n));
    if (isSame) return;
    this.#names = names;
    this.#claims.touchAll();
  }

  /** Cuts the address space by the blocks of these peers; where they differ from the last ones. */
  setBlocks(peers: readonly ActivePeer[]): void {
    for (const family of FAMILIES) {
      const owned = peers.flatMap((owner) => {
        if (owner.peer.kind !== 'block') return [];
        return [{ owner, ranges: blockRanges(owner.peer.parts, family) }];
      });
      this.#ranges[family] = arrange(owned);
      this.#fillBlocks(family);
    }
    this.#claims.touchAll();
  }

  /** Gives the addresses that were touched their identities. */
  *settle(): Steps<void> {
    for (const ip of this.#claims.takeTouched()) {
      this.#setAddress(ip);
      yield;
    }
  }

  #setAddress(ip: IP): void {
    const family = ipFamily(ip);
    const bytes = ipBytes(ip);
    const of = this.#claims.classOf(ip);
    const blocks = rangeAt(this.#ranges[family], bytes)?.owners ?? NO_BLOCKS;
    const before = this.#byAddress.get(ip);
    const now = of === undefined ? undefined : this.#takeOf(of, blocks);
    if (before === now) {
      if (now !== undefined) this.#release(now);
      return;
    }
    this.#onMove(before, now, blocks);
    const { name } = SETS[family].identities;
    if (now === undefined) {
      this.#byAddress.delete(ip);
      this.#book.remove(name, bytes);
    } else {
      this.#byAddress.set(ip, now);
      this.#book.put(name, { key: bytes, data: idBytes(now.id) });
    }
    if (before !== undefined) this.#release(before);
  }

  /** Undefined for one that no policy can tell from a stranger. */
  #takeOf(of: PartyClass, blocks: readonly ActivePeer[]): Identity | undefined {
    const { party, isOwnNode } = of;
    const ports =
      party.kind === 'pod' ? party.ports.filter(({ name }) => this.#names.has(name)) : [];
    if (of.peers.size === 0 && ports.length === 0 && !isOwnNode) return undefined;
    const known = this.#used.get(of.identities.get(blocks)?.text ?? '');
    if (known !== undefined) {
      known.uses++;
      return known.identity;
    }
    const identity = this.#take([...of.peers], blocks, { ports, isOwnNode });
    of.identities.set(blocks, identity);
    return identity;
  }

  #take(
    parties: readonly ActivePeer[],
    blocks: readonly ActivePeer[],
    facts: Pick<Identity, 'ports' | 'isOwnNode'>,
  ): Identity {
    const peers = [...inOrder(parties), ...inOrder(blocks)];
    const text = identityText(peers, blocks.length, facts);
    const known = this.#used.get(text);
    if (known !== undefined) {
      known.uses++;
      return known.identity;
    }
    const identity = makeIdentity(this.#ids, text, { peers, blocks, ...facts });
    for (const peer of peers) peer.identities.add(identity);
    this.#used.set(text, { identity, uses: 1 });
    this.#created.add(identity);
    return identity;
  }

  #release(identity: Identity): void {
    const used = this.#used.get(identity.text);
    if (used === undefined || --used.uses > 0) return;
    this.#used.delete(identity.text);
    this.#ids.release(`identity ${identity.text}`);
    for (const peer of identity.peers) peer.identities.delete(identity);
    if (!this.#created.delete(identity)) this.#dropped.add(identity);
  }

  #fillBlocks(family: IPFamily): void {
    const before = this.#ofRanges[family];
    const strangers = { ports: [], isOwnNode: false };
    const now = this.#ranges[family].map(({ owners }) => this.#take([], owners, strangers));
    this.#ofRanges[family] = now;
    this.#book.fill(
      SETS[family].blocks.name,
      this.#ranges[family].map(({ first, last }, i) => {
        const data = idBytes(now[i]?.id ?? 0);
        return first === last ? { key: first, data } : { key: first, keyEnd: last, data };
      }),
    );
    for (const identity of before) this.#release(identity);
  }
}

function inOrder(peers: readonly ActivePeer[]): readonly ActivePeer[] {
  return peers.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
}
