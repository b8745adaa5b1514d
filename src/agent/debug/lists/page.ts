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

/**
 * The items of the keys that come after `after`, in the order of their keys, until there are `limit`. A key may
 * have no item, or several; what it has is never split.
 */
export function page<T>(
  keys: Iterable<string>,
  request: PageRequest,
  itemsOf: (key: string) => readonly T[],
): Promise<Listing<T>> {
  return takeInTurns(pageSteps(keys, request, itemsOf));
}

function* pageSteps<T>(
  keys: Iterable<string>,
  { after = '', limit }: PageRequest,
  itemsOf: (key: string) => readonly T[],
): Steps<Listing<T>> {
  const following: string[] = [];
  let total = 0;
  for (const key of keys) {
    total++;
    if (key > after) following.push(key);
    yield;
  }
  following.sort();
  const items: T[] = [];
  for (const [at, key] of following.entries()) {
    items.push(...itemsOf(key));
    const isLast = at === following.length - 1;
    if (items.length >= limit && !isLast) return { items, total, next: key };
    yield;
  }
  return { items, total };
}
