import { type Cidr, cidrFamily } from '../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily } from '../../net/ip.ts';
import { ifnameBytes, ipBytes, portBytes } from '../../nftables/bytes.ts';
import type { Element, NamedSet } from '../../nftables/model.ts';
import { FAMILIES, POD_LINKS, SETS, TUNNEL_PORTS } from './definition.ts';
import type { FabricTableFacts } from './facts.ts';
import { ALWAYS_DIRECT, masqueradedNetworks, outermost, rangeOf } from './networks.ts';
import { PROBE_PORTS } from './probe-guard.ts';

/** Elements by the name of their set; sets without any may be left out. */
export type TableContent = ReadonlyMap<string, readonly Element[]>;

/** What is to be in the table, each element once. Pure. */
export function tableContent(facts: FabricTableFacts): TableContent {
  return new ContentMaker().make(facts);
}

/**
 * The same, made again and again. What was an element the last time is the same value again, and so are
 * the elements of a set that is made of the same: thousands of networks are looked at and not made anew.
 */
export class ContentMaker {
  readonly #last = new Map<string, Made>();

  make(facts: FabricTableFacts): TableContent {
    const { tunnel, probePort, podCIDRs, podLinks = [], masquerade } = facts;
    const port = tunnel === undefined ? [] : [tunnel.port];
    const outside = masquerade === undefined ? [] : [...masquerade.direct, ...ALWAYS_DIRECT];
    return new Map([
      this.#keys(TUNNEL_PORTS, port, portBytes),
      this.#keys(PROBE_PORTS, probePort === undefined ? [] : [probePort], portBytes),
      this.#keys(POD_LINKS, podLinks, ifnameBytes),
      ...FAMILIES.flatMap((family) => {
        const { peers, own, pods, masqueraded, direct } = SETS[family];
        const addresses = (set: NamedSet, ips: readonly IP[]) =>
          this.#keys(set, ofFamily(ips, ipFamily, family), ipBytes);
        const ranges = (set: NamedSet, cidrs: readonly Cidr[]) =>
          this.#entry(set, ofFamily(cidrs, cidrFamily, family), rangeOf, outermost);
        return [
          addresses(peers, tunnel?.peers ?? []),
          addresses(own, tunnel?.own ?? []),
          ranges(pods, podCIDRs),
          ranges(masqueraded, masqueradedNetworks(facts)),
          ranges(direct, outside),
        ];
      }),
    ]);
  }

  #keys<T>(set: NamedSet, values: readonly T[], bytesOf: (value: T) => string) {
    const elementOf = (value: T) => ({ key: bytesOf(value) });
    return this.#entry(set, values, elementOf, (elements) => elements);
  }

  #entry<T>(
    { name }: NamedSet,
    input: readonly T[],
    elementOf: (value: T) => Element,
    arrange: (elements: readonly Element[]) => readonly Element[],
  ): readonly [string, readonly Element[]] {
    const last = this.#last.get(name);
    if (last !== undefined && isSame(last.input, input)) return [name, last.made];
    const elements = new Map<unknown, Element>();
    for (const value of input) elements.set(value, last?.elements.get(value) ?? elementOf(value));
    const made = arrange([...elements.values()]);
    this.#last.set(name, { input, elements, made });
    return [name, made];
  }
}

interface Made {
  readonly input: readonly unknown[];
  /** By what they were made of. */
  readonly elements: ReadonlyMap<unknown, Element>;
  readonly made: readonly Element[];
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
    const [gone, come] = [others(had, wanted), others(wanted, had)];
    const [remove, add] = [without(gone, come), without(come, gone)];
    return remove.length + add.length === 0 ? [] : [{ set, remove, add }];
  });
}

/** What is in either of them. Pure. */
export function contentUnion(one: TableContent, other: TableContent): TableContent {
  return new Map(
    [...new Set([...one.keys(), ...other.keys()])].map((set) => {
      const [a, b] = [one.get(set) ?? [], other.get(set) ?? []];
      const more = others(b, a);
      return [set, more.length === 0 ? a : outermost([...a, ...more])] as const;
    }),
  );
}

/** Those of one that are no values of the other; equal ones may be among them. */
function others(one: readonly Element[], other: readonly Element[]): readonly Element[] {
  if (one === other) return [];
  const known = new Set(other);
  return one.filter((element) => !known.has(element));
}

/** Those that are not among others with the same end. Within a set nothing begins twice. */
function without(elements: readonly Element[], others: readonly Element[]): readonly Element[] {
  const ends = new Map(others.map(({ key, keyEnd }) => [key, keyEnd ?? key]));
  return elements.filter(({ key, keyEnd }) => ends.get(key) !== (keyEnd ?? key));
}

function ofFamily<T>(
  values: readonly T[],
  familyOf: (value: T) => IPFamily,
  family: IPFamily,
): readonly T[] {
  return values.filter((value) => familyOf(value) === family);
}

function isSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((each, i) => each === b[i]);
}
