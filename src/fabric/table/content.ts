import { type Cidr, cidrFamily } from '../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily } from '../../net/ip.ts';
import { ifnameBytes, ipBytes, portBytes } from '../../nftables/bytes.ts';
import type { Element, NamedSet } from '../../nftables/model.ts';
import { withLastResult } from '../../util/last-result.ts';
import { type Steps, takeAtOnce } from '../../util/turns.ts';
import { FAMILIES, POD_LINKS, SETS, TUNNEL_PORTS } from './definition.ts';
import type { FabricTableFacts } from './facts.ts';
import { ALWAYS_DIRECT, masqueradedNetworks, outermost, rangeOf } from './networks.ts';
import { PROBE_PORTS } from './probe-guard.ts';

const NOBODY: readonly IP[] = [];

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
  /** A run asks twice of the same peers. */
  readonly #peersOf = withLastResult((peers: readonly IP[]) => byFamily(peers, ipFamily));
  readonly #directOf = withLastResult((direct: readonly Cidr[] | undefined) =>
    byFamily(direct === undefined ? [] : [...direct, ...ALWAYS_DIRECT], cidrFamily),
  );

  make(facts: FabricTableFacts): TableContent {
    return takeAtOnce(this.steps(facts));
  }

  /** `make`, an element a step. */
  *steps(facts: FabricTableFacts): Steps<TableContent> {
    const { tunnel, probePort, podCIDRs, podLinks = [], masquerade } = facts;
    const port = tunnel === undefined ? [] : [tunnel.port];
    const peersOf = this.#peersOf(tunnel?.peers ?? NOBODY);
    const ownOf = byFamily(tunnel?.own ?? NOBODY, ipFamily);
    const podsOf = byFamily(podCIDRs, cidrFamily);
    const masqueradedOf = byFamily(masqueradedNetworks(facts), cidrFamily);
    const directOf = this.#directOf(masquerade?.direct);
    const content = new Map<string, readonly Element[]>();
    const keys = <T>({ name }: NamedSet, values: readonly T[], bytesOf: (value: T) => string) => {
      const elementOf = (value: T) => ({ key: bytesOf(value) });
      return this.#put(content, name, values, elementOf, (elements) => elements);
    };
    const ranges = ({ name }: NamedSet, cidrs: readonly Cidr[]) =>
      this.#put(content, name, cidrs, rangeOf, outermost);
    yield* keys(TUNNEL_PORTS, port, portBytes);
    yield* keys(PROBE_PORTS, probePort === undefined ? [] : [probePort], portBytes);
    yield* keys(POD_LINKS, podLinks, ifnameBytes);
    for (const family of FAMILIES) {
      const { peers, own, pods, masqueraded, direct } = SETS[family];
      yield* keys(peers, peersOf[family], ipBytes);
      yield* keys(own, ownOf[family], ipBytes);
      yield* ranges(pods, podsOf[family]);
      yield* ranges(masqueraded, masqueradedOf[family]);
      yield* ranges(direct, directOf[family]);
    }
    return content;
  }

  *#put<T>(
    content: Map<string, readonly Element[]>,
    name: string,
    input: readonly T[],
    elementOf: (value: T) => Element,
    arrange: (elements: readonly Element[]) => readonly Element[],
  ): Steps<void> {
    const last = this.#last.get(name);
    if (last !== undefined && isSame(last.input, input)) {
      content.set(name, last.made);
      return;
    }
    const elements = new Map<unknown, Element>();
    for (const value of input) {
      elements.set(value, last?.elements.get(value) ?? elementOf(value));
      yield;
    }
    const made = arrange([...elements.values()]);
    this.#last.set(name, { input, elements, made });
    content.set(name, made);
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
      if (more.length === 0) return [set, a] as const;
      // Where nothing goes, what is wanted is all there is to be, and need not be compared again.
      return [set, others(a, b).length === 0 ? b : outermost([...a, ...more])] as const;
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

function byFamily<T>(
  values: readonly T[],
  familyOf: (value: T) => IPFamily,
): Readonly<Record<IPFamily, readonly T[]>> {
  const split: Record<IPFamily, T[]> = { 4: [], 6: [] };
  for (const value of values) split[familyOf(value)].push(value);
  return split;
}

function isSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a === b || (a.length === b.length && a.every((each, i) => each === b[i]));
}
