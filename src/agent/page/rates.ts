import { refusedInAll } from '../debug/lists/refused.ts';
import type { ListedService } from '../debug/lists/values.ts';

/** New connections and refused packets a second. */
export interface ServiceRate {
  readonly connections: number;
  readonly refused: number;
}

type Total = ServiceRate;

/** Counters of the kernel are read this far apart at least, however often they are asked for. */
const READ_EVERY_MS = 9_000;
/** Nothing has changed for so long: nothing was counted. */
const STILL_MS = 13_000;

/** Makes rates of totals that grow now and then: what they grew by since they grew last. */
export class RateMeter {
  #totals: ReadonlyMap<string, Total> | undefined;
  #totalsAtMs = 0;
  #rates: ReadonlyMap<string, ServiceRate> = new Map();

  /** `nowMs` by a clock that nobody sets. Rates by Service; none before there are two totals. */
  update(totals: ReadonlyMap<string, Total>, nowMs: number): ReadonlyMap<string, ServiceRate> {
    const before = this.#totals;
    const passedMs = nowMs - this.#totalsAtMs;
    if (before === undefined) {
      this.#totals = totals;
      this.#totalsAtMs = nowMs;
      return this.#rates;
    }
    const isDue = passedMs >= STILL_MS || (passedMs >= READ_EVERY_MS && differ(before, totals));
    if (!isDue) return this.#rates;
    this.#rates = new Map(
      [...totals].map(([key, total]) => [key, rateOf(before.get(key), total, passedMs)]),
    );
    this.#totals = totals;
    this.#totalsAtMs = nowMs;
    return this.#rates;
  }
}

/** What was counted for a Service; undefined where the mode counts nothing. */
export function totalOf({ connections, refused }: ListedService): Total | undefined {
  if (connections === undefined || refused === undefined) return undefined;
  return { connections, refused: refusedInAll(refused) };
}

function differ(before: ReadonlyMap<string, Total>, now: ReadonlyMap<string, Total>): boolean {
  for (const [key, { connections, refused }] of now) {
    const old = before.get(key);
    if (old?.connections !== connections || old.refused !== refused) return true;
  }
  return false;
}

/** A total that is less than before began anew. */
function rateOf(before: Total | undefined, now: Total, passedMs: number): ServiceRate {
  const grown = (of: keyof Total) => {
    const [old, current] = [before?.[of] ?? 0, now[of]];
    return (1_000 * (current >= old ? current - old : current)) / passedMs;
  };
  return { connections: grown('connections'), refused: grown('refused') };
}
