import type { IPFamily } from '../../net/ip.ts';

/** Every link passes packets of these sizes (RFC 791 section 3.2, RFC 8200 section 5). */
export const LEAST_MTU = { 4: 576, 6: 1280 } as const;
/** Headers of IP and UDP. */
export const HEADER_BYTES = { 4: 28, 6: 48 } as const;
/** A path whose size is known this closely needs no more packets. */
const CLOSE_ENOUGH = 8;

/** What is known of a path: packets of `passed` bytes arrived, those of `lost` did not. */
export interface PathSearch {
  readonly family: IPFamily;
  /** The largest size worth trying. */
  readonly most: number;
  /** 0 while none did. */
  readonly passed: number;
  /** Undefined while none was missing. */
  readonly lost: number | undefined;
}

export function beginSearch(family: IPFamily, most: number): PathSearch {
  return { family, most, passed: 0, lost: undefined };
}

/**
 * The size to try next, undefined when enough is known: the largest, then the smallest that must
 * pass, then halfway between.
 */
export function nextSize({ family, most, passed, lost }: PathSearch): number | undefined {
  if (passed >= most) return undefined;
  if (lost === undefined || lost > most) return most;
  const least = Math.min(LEAST_MTU[family], most);
  if (passed === 0) return lost > least ? least : undefined;
  return lost - passed <= CLOSE_ENOUGH ? undefined : (passed + lost) >> 1;
}

/** After a packet of this size arrived, or did not. */
export function noteSize(search: PathSearch, size: number, hasArrived: boolean): PathSearch {
  if (hasArrived) return { ...search, passed: Math.max(search.passed, size) };
  return { ...search, lost: Math.min(search.lost ?? size, size) };
}

/** A router said what fits: what is larger arrives, if at all, in fragments. */
export function noteLimit(search: PathSearch, limit: number | undefined): PathSearch {
  return limit === undefined || limit >= search.most ? search : { ...search, most: limit };
}

/** The size that arrives whole; 0 when nothing was answered. */
export function foundSize({ passed, most }: PathSearch): number {
  return Math.min(passed, most);
}
