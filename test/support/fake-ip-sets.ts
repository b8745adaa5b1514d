/** Sets in memory, as strict as the kernel about their kinds and their users. */
import type { IpSetEntry, IpSetHeader, IpSetSpec, IpSets } from '../../src/kernel/ipset-types.ts';
import { formatIpSetEntry } from '../../src/netlink/ipset/entry.ts';
import { WeftError } from '../../src/util/errors.ts';

interface FakeSet {
  spec: IpSetSpec;
  entries: Map<string, IpSetEntry>;
}

export class FakeIpSets implements IpSets {
  readonly #sets = new Map<string, FakeSet>();
  /** Names that rules use. */
  readonly used = new Set<string>();

  names(): readonly string[] {
    return [...this.#sets.keys()].sort();
  }

  texts(name: string): readonly string[] {
    return [...this.#get(name).entries.keys()].sort();
  }

  requireType(): void {}

  sets(): readonly IpSetHeader[] {
    return [...this.#sets].map(([name, set]) => headerOf(name, set));
  }

  set(name: string): IpSetHeader | undefined {
    const known = this.#sets.get(name);
    return known && headerOf(name, known);
  }

  create(spec: IpSetSpec): void {
    const known = this.#sets.get(spec.name);
    if (known === undefined) this.#sets.set(spec.name, { spec, entries: new Map() });
    else if (JSON.stringify(known.spec) !== JSON.stringify(spec)) {
      throw new WeftError('EEXIST', `create set ${spec.name}: EEXIST`);
    }
  }

  async entries(name: string): Promise<readonly IpSetEntry[]> {
    return [...this.#get(name).entries.values()];
  }

  async add(name: string, entries: readonly IpSetEntry[]): Promise<void> {
    const known = this.#get(name);
    for (const entry of entries) {
      if (entry.type !== known.spec.type) throw new WeftError('IPSET_ERR_PROTOCOL', name);
      known.entries.set(formatIpSetEntry(entry), entry);
    }
  }

  async delete(name: string, entries: readonly IpSetEntry[]): Promise<void> {
    for (const entry of entries) this.#get(name).entries.delete(formatIpSetEntry(entry));
  }

  swap(name: string, other: string): void {
    const [left, right] = [this.#get(name), this.#get(other)];
    if (left.spec.type !== right.spec.type) throw new WeftError('IPSET_ERR_TYPE_MISMATCH', name);
    this.#sets.set(name, right);
    this.#sets.set(other, left);
  }

  destroy(name: string): boolean {
    if (this.used.has(name)) throw new WeftError('IPSET_ERR_BUSY', `destroy ${name}: busy`);
    return this.#sets.delete(name);
  }

  close(): void {}

  #get(name: string): FakeSet {
    const known = this.#sets.get(name);
    if (known === undefined) throw new WeftError('ENOENT', `set ${name}: ENOENT`);
    return known;
  }
}

function headerOf(name: string, { spec, entries }: FakeSet): IpSetHeader {
  const isBitmap = spec.type === 'bitmap:port';
  return {
    name,
    type: spec.type,
    revision: 0,
    family: isBitmap ? undefined : spec.family,
    maxElements: isBitmap ? undefined : spec.maxElements,
    hashSize: isBitmap ? undefined : spec.hashSize,
    firstPort: isBitmap ? spec.firstPort : undefined,
    lastPort: isBitmap ? spec.lastPort : undefined,
    references: 0,
    elements: entries.size,
  };
}
