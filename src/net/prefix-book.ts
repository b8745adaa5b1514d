import { type Cidr, cidrFamily, cidrOf, networkAddress, prefixLength } from './cidr.ts';
import { type IP, type IPFamily, ipFamily } from './ip.ts';

/** Values by network, asked by address or by network; what it costs depends on how many lengths there are. */
export class PrefixBook<T> {
  readonly #families: Readonly<Record<IPFamily, FamilyBook<T>>> = {
    4: new FamilyBook(),
    6: new FamilyBook(),
  };

  /** The last value of a network counts. */
  set(cidr: Cidr, value: T): void {
    this.#families[cidrFamily(cidr)].set(cidr, value);
  }

  get(cidr: Cidr): T | undefined {
    return this.#families[cidrFamily(cidr)].get(cidr);
  }

  /** `false` when it was not there. */
  delete(cidr: Cidr): boolean {
    return this.#families[cidrFamily(cidr)].delete(cidr);
  }

  /** The value of the smallest network that holds the address. */
  longestMatch(ip: IP): T | undefined {
    return this.#families[ipFamily(ip)].longestMatch(ip);
  }

  /** The value of some network that shares addresses with this one. */
  overlapping(cidr: Cidr): T | undefined {
    return this.#families[cidrFamily(cidr)].overlapping(cidr);
  }
}

class FamilyBook<T> {
  /** By length, longest first; networks of it by their first address. */
  readonly #byLength = new Map<number, Map<IP, T>>();
  /** By length: what smaller networks there are inside, by the first address of the larger. */
  readonly #inside = new Map<number, Map<IP, Cidr[]>>();
  #lengths: readonly number[] = [];

  set(cidr: Cidr, value: T): void {
    const length = prefixLength(cidr);
    const networks = this.#networksOf(length);
    const isKnown = networks.has(networkAddress(cidr));
    networks.set(networkAddress(cidr), value);
    if (isKnown) return;
    for (const larger of this.#lengths) {
      if (larger < length) this.#noteInside(larger, cidr);
    }
  }

  get(cidr: Cidr): T | undefined {
    return this.#byLength.get(prefixLength(cidr))?.get(networkAddress(cidr));
  }

  delete(cidr: Cidr): boolean {
    const length = prefixLength(cidr);
    if (this.#byLength.get(length)?.delete(networkAddress(cidr)) !== true) return false;
    for (const larger of this.#lengths) {
      if (larger >= length) continue;
      const networks = this.#inside.get(larger);
      const first = firstOf(cidr, larger);
      const left = networks?.get(first)?.filter((each) => each !== cidr) ?? [];
      if (left.length > 0) networks?.set(first, left);
      else networks?.delete(first);
    }
    return true;
  }

  longestMatch(ip: IP): T | undefined {
    for (const length of this.#lengths) {
      const value = this.#byLength.get(length)?.get(networkAddress(cidrOf(ip, length)));
      if (value !== undefined) return value;
    }
    return undefined;
  }

  overlapping(cidr: Cidr): T | undefined {
    const first = networkAddress(cidr);
    const own = prefixLength(cidr);
    this.#networksOf(own);
    const larger = this.#lengths.filter((length) => length <= own);
    for (const length of larger) {
      const value = this.#byLength.get(length)?.get(networkAddress(cidrOf(first, length)));
      if (value !== undefined) return value;
    }
    const inside = this.#inside.get(own)?.get(first)?.[0];
    return inside === undefined ? undefined : this.get(inside);
  }

  /** For a new length, what is inside its networks is collected from the values there are. */
  #networksOf(length: number): Map<IP, T> {
    const known = this.#byLength.get(length);
    if (known !== undefined) return known;
    const networks = new Map<IP, T>();
    for (const [smaller, present] of this.#byLength) {
      if (smaller < length) continue;
      for (const first of present.keys()) this.#noteInside(length, cidrOf(first, smaller));
    }
    this.#byLength.set(length, networks);
    this.#lengths = [...this.#byLength.keys()].toSorted((a, b) => b - a);
    return networks;
  }

  #noteInside(length: number, cidr: Cidr): void {
    const networks = this.#inside.get(length) ?? new Map<IP, Cidr[]>();
    this.#inside.set(length, networks);
    const first = firstOf(cidr, length);
    const inside = networks.get(first);
    if (inside === undefined) networks.set(first, [cidr]);
    else inside.push(cidr);
  }
}

/** The first address of the network of that length around a smaller one. */
function firstOf(cidr: Cidr, length: number): IP {
  return networkAddress(cidrOf(networkAddress(cidr), length));
}
