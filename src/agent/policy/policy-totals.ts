import type { PolicyCounter } from '../../policy/counters.ts';
import type { Clock } from '../../util/clock.ts';

export interface PolicyTotalsOptions {
  /** What the kernel has counted; elements that count come and go. */
  readonly read: () => Promise<readonly PolicyCounter[]>;
  readonly clock: Pick<Clock, 'elapsed'>;
  readonly onError: (thrown: unknown) => void;
}

/** Two readings are at least so far apart. */
const MIN_INTERVAL_MS = 10_000;
/** Of policies and directions; all beyond are counted together, under no name. */
const MOST_SERIES = 1_000;
const OTHERS = '';

interface Series {
  readonly total: Mutable<PolicyCounter>;
  /** As last read. */
  last: Pick<PolicyCounter, 'allowed' | 'denied'>;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Running totals of what policies allow and deny. A total never falls: where the kernel has less than
 * before, elements that counted are gone, and what others counted meanwhile is lost.
 */
export class PolicyTotals {
  readonly #options: PolicyTotalsOptions;
  readonly #series = new Map<string, Series>();
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(options: PolicyTotalsOptions) {
    this.#options = options;
  }

  /** Totals, read anew if the last reading is long enough ago. */
  async totals(): Promise<readonly PolicyCounter[]> {
    const now = this.#options.clock.elapsed();
    if (now - this.#readAt >= MIN_INTERVAL_MS) {
      this.#readAt = now;
      await this.#read();
    }
    return Array.from(this.#series.values(), ({ total }) => total);
  }

  /** Metrics are served with or without a new reading. */
  async #read(): Promise<void> {
    const { read, onError } = this.#options;
    try {
      this.#take(await read());
    } catch (thrown) {
      onError(thrown);
    }
  }

  #take(counts: readonly PolicyCounter[]): void {
    const named = new Map(counts.map((count) => [keyOf(count), count]));
    this.#makeRoomFor(named);
    const others = new Map<string, PolicyCounter>();
    for (const [key, count] of named) {
      if (this.#series.has(key) || this.#series.size < MOST_SERIES) this.#add(key, count);
      else join(others, { ...count, policy: OTHERS });
    }
    for (const [key, count] of others) this.#add(key, count);
  }

  /** Policies that are gone give way, once there are many. */
  #makeRoomFor(named: ReadonlyMap<string, PolicyCounter>): void {
    if (this.#series.size + named.size <= MOST_SERIES) return;
    for (const [key, { total }] of this.#series) {
      if (!named.has(key) && total.policy !== OTHERS) this.#series.delete(key);
    }
  }

  #add(key: string, { policy, tier, direction, allowed, denied }: PolicyCounter): void {
    const total = { policy, tier, direction, allowed: 0, denied: 0 };
    const series = this.#series.get(key) ?? { total, last: { allowed: 0, denied: 0 } };
    series.total.allowed += Math.max(0, allowed - series.last.allowed);
    series.total.denied += Math.max(0, denied - series.last.denied);
    series.last = { allowed, denied };
    this.#series.set(key, series);
  }
}

function keyOf({ policy, tier, direction }: PolicyCounter): string {
  return `${direction} ${tier} ${policy}`;
}

function join(sums: Map<string, PolicyCounter>, count: PolicyCounter): void {
  const key = keyOf(count);
  const before = sums.get(key) ?? { ...count, allowed: 0, denied: 0 };
  const allowed = before.allowed + count.allowed;
  sums.set(key, { ...before, allowed, denied: before.denied + count.denied });
}
