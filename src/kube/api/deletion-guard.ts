/** Up to this nobody needs protection: small clusters lose half of their endpoints every day. */
const UNGUARDED_LOSS = 10;

export interface Relist {
  /** Weight by key of what is held, and of what the server listed. */
  readonly held: ReadonlyMap<string, number>;
  readonly listed: ReadonlyMap<string, number>;
  /** Since when (ms) the objects are withheld that an earlier list lacked. */
  readonly withheldSince: ReadonlyMap<string, number>;
  readonly now: number;
  readonly holdMs: number;
  /** Losses up to this weight are believed whatever their share; where it is given, half is too much. */
  readonly unguardedLoss?: number | undefined;
  /** Each missing object is a loss whatever came instead, and half of all is too much. */
  readonly isEachGuarded?: boolean | undefined;
}

export interface GuardVerdict {
  /** Objects that stay as they are held although the list drops or shrinks them, and since when. */
  readonly withheldSince: ReadonlyMap<string, number>;
  readonly heldWeight: number;
  readonly listedWeight: number;
}

/**
 * Which losses of a list to hold back. A list that takes away more than half of everything is more
 * likely the fault of a server (restored from a backup, half a cache) than the truth; each loss in
 * it counts only once lists have reported it for `holdMs`. What moved between objects is no loss.
 */
export function judgeRelist(relist: Relist): GuardVerdict {
  const { held, listed, withheldSince, now, holdMs } = relist;
  const heldWeight = sum(held.values());
  const listedWeight = sum(listed.values());
  const since = new Map<string, number>();
  if (isSuspicious(relist, heldWeight, listedWeight)) {
    for (const [key, weight] of held) {
      if (weight <= (listed.get(key) ?? 0)) continue;
      const firstAt = withheldSince.get(key) ?? now;
      if (now - firstAt < holdMs) since.set(key, firstAt);
    }
  }
  return { withheldSince: since, heldWeight, listedWeight };
}

function isSuspicious(relist: Relist, heldWeight: number, listedWeight: number): boolean {
  const { held, listed, isEachGuarded = false, unguardedLoss } = relist;
  if (!isEachGuarded) {
    const loss = heldWeight - listedWeight;
    if (unguardedLoss === undefined) return loss > UNGUARDED_LOSS && loss * 2 > heldWeight;
    return loss > unguardedLoss && loss * 2 >= heldWeight;
  }
  const losses = Array.from(held, ([key, weight]) => weight - (listed.get(key) ?? 0));
  const loss = sum(losses.filter((each) => each > 0));
  return loss > 0 && loss * 2 >= heldWeight;
}

function sum(weights: Iterable<number>): number {
  let total = 0;
  for (const weight of weights) total += weight;
  return total;
}
