/** Long lists are answered in parts, so that no answer and no turn of the event loop is long. */
import { type Steps, takeInTurns } from '../../../util/turns.ts';
import type { Listing } from './values.ts';

export interface PageRequest {
  /** The key that the last part ended with. */
  readonly after: string | undefined;
  /** Most items, or items about to be had by the last key of the part. */
  readonly limit: number;
}

export const DEFAULT_LIMIT = 500;
export const MOST_LIMIT = 1_000;

/** Keys are sorted so many at a time: all of 10,000 at once would hold up others. */
const MOST_SORTED = 500;

/**
 * The items of the keys that come after `after`, in the order of their keys, until there are `limit`. A key may
 * have no item, or several; what it has is never split. `keys` are gone through several times.
 */
export function page<T>(
  keys: () => Iterable<string>,
  request: PageRequest,
  itemsOf: (key: string) => readonly T[],
): Promise<Listing<T>> {
  return takeInTurns(pageSteps(keys, request, itemsOf));
}

function* pageSteps<T>(
  keys: () => Iterable<string>,
  { after = '', limit }: PageRequest,
  itemsOf: (key: string) => readonly T[],
): Steps<Listing<T>> {
  const items: T[] = [];
  for (let last = after; ; ) {
    const { total, nearest, isAll } = yield* nearestSteps(keys(), last);
    for (const [at, key] of nearest.entries()) {
      items.push(...itemsOf(key));
      const isEnd = isAll && at === nearest.length - 1;
      if (items.length >= limit && !isEnd) return { items, total, next: key };
      yield;
    }
    last = nearest.at(-1) ?? last;
    if (isAll) return { items, total };
  }
}

interface Nearest {
  readonly total: number;
  /** The first ones behind `after`, sorted. */
  readonly nearest: readonly string[];
  /** Nothing follows them. */
  readonly isAll: boolean;
}

function* nearestSteps(keys: Iterable<string>, after: string): Steps<Nearest> {
  const nearest: string[] = [];
  let total = 0;
  let following = 0;
  for (const key of keys) {
    total++;
    yield;
    if (key <= after) continue;
    following++;
    const isFull = nearest.length === MOST_SORTED;
    if (isFull && key > (nearest.at(-1) ?? '')) continue;
    if (isFull) nearest.pop();
    nearest.splice(placeOf(key, nearest), 0, key);
  }
  return { total, nearest, isAll: following === nearest.length };
}

function placeOf(key: string, sorted: readonly string[]): number {
  let [from, to] = [0, sorted.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((sorted[middle] ?? '') < key) from = middle + 1;
    else to = middle;
  }
  return from;
}
