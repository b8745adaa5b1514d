/** Ranges of addresses, as register bytes in network order, so that they compare as addresses do. */
import { type Cidr, cidrFamily, lastAddress } from '../net/cidr.ts';
import type { IPFamily } from '../net/ip.ts';
import { ipBytes, networkBytes, nextKey, previousKey } from '../nftables/bytes.ts';

/** Both ends are inside. */
export interface AddressRange {
  readonly first: string;
  readonly last: string;
}

/** A range with those whose blocks contain all of it; outside of all ranges there is nobody. */
export interface ArrangedRange<T> extends AddressRange {
  readonly owners: readonly T[];
}

export function rangesOf(cidrs: readonly Cidr[], family: IPFamily): readonly AddressRange[] {
  return joined(
    cidrs
      .filter((cidr) => cidrFamily(cidr) === family)
      .map((cidr) => ({ first: networkBytes(cidr), last: ipBytes(lastAddress(cidr)) })),
  );
}

/** In order, without overlaps, and what touches is one. */
export function joined(ranges: readonly AddressRange[]): readonly AddressRange[] {
  const kept: { first: string; last: string }[] = [];
  for (const { first, last } of ranges.toSorted((a, b) => compare(a.first, b.first))) {
    const before = kept.at(-1);
    const next = before === undefined ? undefined : nextKey(before.last);
    if (before === undefined || (next !== undefined && next < first)) kept.push({ first, last });
    else if (before.last < last) before.last = last;
  }
  return kept;
}

/** What is in one and not in the other; both as `joined` gives them. */
export function without(
  inside: readonly AddressRange[],
  outside: readonly AddressRange[],
): readonly AddressRange[] {
  return inside.flatMap(({ first, last }) => {
    const left: AddressRange[] = [];
    let at: string | undefined = first;
    for (const hole of outside) {
      if (at === undefined || hole.last < at) continue;
      if (hole.first > last) break;
      const before = hole.first > at ? previousKey(hole.first) : undefined;
      if (before !== undefined) left.push({ first: at, last: before });
      at = nextKey(hole.last);
    }
    if (at !== undefined && at <= last) left.push({ first: at, last });
    return left;
  });
}

/** Cuts overlapping ranges into disjoint ones, in order; neighbours with the same owners are one. */
export function arrange<T>(
  owned: Iterable<{ readonly owner: T; readonly ranges: readonly AddressRange[] }>,
): readonly ArrangedRange<T>[] {
  const begins: { readonly at: string; readonly owner: T; readonly isBegin: boolean }[] = [];
  for (const { owner, ranges } of owned) {
    for (const { first, last } of ranges) {
      begins.push({ at: first, owner, isBegin: true });
      const behind = nextKey(last);
      if (behind !== undefined) begins.push({ at: behind, owner, isBegin: false });
    }
  }
  begins.sort((a, b) => compare(a.at, b.at));
  const arranged: ArrangedRange<T>[] = [];
  const owners = new Set<T>();
  begins.forEach(({ at, owner, isBegin }, i) => {
    if (isBegin) owners.add(owner);
    else owners.delete(owner);
    const next = begins[i + 1]?.at;
    if (next === at || owners.size === 0) return;
    const last = next === undefined ? '\xff'.repeat(at.length) : previousKey(next);
    append(arranged, { first: at, last: last ?? at, owners: [...owners] });
  });
  return arranged;
}

/** The range that an address is in; undefined outside of all. */
export function rangeAt<R extends AddressRange>(
  ranges: readonly R[],
  address: string,
): R | undefined {
  let [low, high] = [0, ranges.length - 1];
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const range = ranges[middle];
    if (range === undefined) return undefined;
    if (address < range.first) high = middle - 1;
    else if (address > range.last) low = middle + 1;
    else return range;
  }
  return undefined;
}

function append<T>(arranged: ArrangedRange<T>[], range: ArrangedRange<T>): void {
  const before = arranged.at(-1);
  const isSame =
    before !== undefined &&
    nextKey(before.last) === range.first &&
    before.owners.length === range.owners.length &&
    before.owners.every((owner) => range.owners.includes(owner));
  if (isSame) arranged[arranged.length - 1] = { ...before, last: range.last };
  else arranged.push(range);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
