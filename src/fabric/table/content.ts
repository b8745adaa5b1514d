import type { Cidr } from '../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily } from '../../net/ip.ts';
import { ifnameBytes, ipBytes, portBytes } from '../../nftables/bytes.ts';
import type { Element, NamedSet } from '../../nftables/model.ts';
import { FAMILIES, POD_LINKS, SETS, TUNNEL_PORTS } from './definition.ts';
import type { FabricTableFacts } from './facts.ts';
import { ALWAYS_DIRECT, masqueradedNetworks, outermost, rangesOf } from './networks.ts';

/** Elements by the name of their set; sets without any may be left out. */
export type TableContent = ReadonlyMap<string, readonly Element[]>;

/** What is to be in the table, each element once. Pure. */
export function tableContent(facts: FabricTableFacts): TableContent {
  return new ContentMaker().make(facts);
}

/**
 * The same, made again and again. Most sets are made of what they were made of the last time, and then
 * their elements are the same value: thousands of networks are looked at and not made anew.
 */
export class ContentMaker {
  readonly #last = new Map<
    string,
    { readonly input: readonly unknown[]; made: readonly Element[] }
  >();

  make(facts: FabricTableFacts): TableContent {
    const { tunnel, podCIDRs, podLinks = [], masquerade } = facts;
    const port = tunnel === undefined ? [] : [tunnel.port];
    const outside = masquerade === undefined ? [] : [...masquerade.direct, ...ALWAYS_DIRECT];
    return new Map([
      this.#entry(TUNNEL_PORTS, port, (ports) => keysOf(ports, portBytes)),
      this.#entry(POD_LINKS, podLinks, (names) => keysOf(names, ifnameBytes)),
      ...FAMILIES.flatMap((family) => {
        const { peers, pods, masqueraded, direct } = SETS[family];
        const ranges = (cidrs: readonly Cidr[]) => rangesOf(cidrs, family);
        return [
          this.#entry(peers, tunnel?.peers ?? [], (all) => keysOf(ofFamily(all, family), ipBytes)),
          this.#entry(pods, podCIDRs, ranges),
          this.#entry(masqueraded, masqueradedNetworks(facts), ranges),
          this.#entry(direct, outside, ranges),
        ];
      }),
    ]);
  }

  #entry<T>(
    { name }: NamedSet,
    input: readonly T[],
    make: (input: readonly T[]) => readonly Element[],
  ): readonly [string, readonly Element[]] {
    const last = this.#last.get(name);
    if (last !== undefined && isSame(last.input, input)) return [name, last.made];
    const made = make(input);
    this.#last.set(name, { input, made });
    return [name, made];
  }
}

/** What makes the one out of the other, set by set; empty when they are the same. Pure. */
export function contentDifference(
  from: TableContent,
  to: TableContent,
): readonly {
  readonly set: string;
  readonly remove: readonly Element[];
  readonly add: readonly Element[];
}[] {
  return [...new Set([...from.keys(), ...to.keys()])].flatMap((set) => {
    const [had, wanted] = [from.get(set) ?? [], to.get(set) ?? []];
    if (had === wanted) return [];
    const [remove, add] = [without(had, wanted), without(wanted, had)];
    return remove.length + add.length === 0 ? [] : [{ set, remove, add }];
  });
}

/** What is in either of them. Pure. */
export function contentUnion(one: TableContent, other: TableContent): TableContent {
  return new Map(
    [...new Set([...one.keys(), ...other.keys()])].map((set) => {
      const [a, b] = [one.get(set) ?? [], other.get(set) ?? []];
      return [set, a === b ? a : outermost([...a, ...b])] as const;
    }),
  );
}

/** Those that are not among others with the same end. Within a set nothing begins twice. */
function without(elements: readonly Element[], others: readonly Element[]): readonly Element[] {
  const ends = new Map(others.map(({ key, keyEnd }) => [key, keyEnd ?? key]));
  return elements.filter(({ key, keyEnd }) => ends.get(key) !== (keyEnd ?? key));
}

function keysOf<T>(values: readonly T[], bytesOf: (value: T) => string): readonly Element[] {
  return [...new Set(values)].map((value) => ({ key: bytesOf(value) }));
}

function ofFamily(addresses: readonly IP[], family: IPFamily): readonly IP[] {
  return addresses.filter((address) => ipFamily(address) === family);
}

function isSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((each, i) => each === b[i]);
}
