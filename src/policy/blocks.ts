/** Ranges of addresses, as register bytes in network order, so that they compare as addresses do. */

import { type Cidr, cidrFamily } from '../net/cidr.ts';
import type { IPFamily } from '../net/ip.ts';
import { lastBytes, networkBytes, nextKey, previousKey } from '../nftables/bytes.ts';
import { compareText } from '../util/text-order.ts';
import type { BlockPart } from './peers.ts';

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
      .map((cidr) => ({ first: networkBytes(cidr), last: lastBytes(cidr) })),
  );
}

type Ranges = { readonly [F in IPFamily]?: readonly AddressRange[] };

const rangesOfBlocks = new WeakMap<readonly BlockPart[], Ranges>();

/** Addresses that are in some part; computed once. */
export function blockRanges(
  parts: readonly BlockPart[],
  family: IPFamily,
): readonly AddressRange[] {
  const known = rangesOfBlocks.get(parts) ?? {};
  const ranges =
    known[family] ??
    joined(
      parts.flatMap(({ inside, outside }) =>
        without(rangesOf(inside, family), rangesOf(outside, family)),
      ),
    );
  rangesOfBlocks.set(parts, { ...known, [family]: ranges });
  return ranges;
}

/** In order, without overlaps, and what touches is one. */
export function joined(ranges: readonly AddressRange[]): readonly AddressRange[] {
  const kept: { first: string; last: string }[] = [];
  for (const { first, last } of ranges.toSorted((a, b) => compareText(a.first, b.first))) {
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

/** Owners of ranges, as far as they are laid over each other. */
interface Boundary<T> {
  readonly at: string;
  readonly owner: T;
  readonly isBegin: boolean;
}

/**
 * Cuts overlapping ranges into disjoint ones, in order; neighbours with the same owners are one. Two
 * ranges with the same owners have the same value for them.
 */
export function arrange<T extends object>(owned: Iterable<Owned<T>>): readonly ArrangedRange<T>[] {
  const arranged: ArrangedRange<T>[] = [];
  const known = new Map<string, readonly T[]>();
  const serials = new Map<T, number>();
  const serialOf = (owner: T) => {
    const serial = serials.get(owner) ?? serials.size;
    serials.set(owner, serial);
    return serial;
  };
  sweep(owned, (range, owners) => {
    const key = Array.from(owners, serialOf)
      .sort((a, b) => a - b)
      .join();
    const same = known.get(key) ?? [...owners];
    known.set(key, same);
    const before = arranged.at(-1);
    if (before?.owners === same && nextKey(before.last) === range.first) {
      arranged[arranged.length - 1] = { ...before, last: range.last };
    } else {
      arranged.push({ ...range, owners: same });
    }
  });
  return arranged;
}

export interface Owned<T> {
  readonly owner: T;
  readonly ranges: readonly AddressRange[];
}

/** Goes through the parts between all ends, in order, that are in some range. Stops where `visit` says false. */
export function sweep<T>(
  owned: Iterable<Owned<T>>,
  visit: (range: AddressRange, owners: ReadonlySet<T>) => unknown,
): void {
  const begins: Boundary<T>[] = [];
  for (const { owner, ranges } of owned) {
    for (const { first, last } of ranges) {
      begins.push({ at: first, owner, isBegin: true });
      const behind = nextKey(last);
      if (behind !== undefined) begins.push({ at: behind, owner, isBegin: false });
    }
  }
  begins.sort((a, b) => compareText(a.at, b.at));
  const owners = new Set<T>();
  for (const [i, { at, owner, isBegin }] of begins.entries()) {
    if (isBegin) owners.add(owner);
    else owners.delete(owner);
    const next = begins[i + 1]?.at;
    if (next === at || owners.size === 0) continue;
    const last = next === undefined ? '\xff'.repeat(at.length) : previousKey(next);
    if (visit({ first: at, last: last ?? at }, owners) === false) return;
  }
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
