import type { Clock } from './clock.ts';

export interface AllowanceOptions {
  readonly clock: Pick<Clock, 'elapsed'>;
  /** At most this many at once, */
  readonly burst: number;
  /** and one more each time that so long has passed. */
  readonly refillMs: number;
}

/** Bounds how often something is done, whoever asks for it. */
export class Allowance {
  readonly #options: AllowanceOptions;
  #left: number;
  #refilledAt: number;

  constructor(options: AllowanceOptions) {
    this.#options = options;
    this.#left = options.burst;
    this.#refilledAt = options.clock.elapsed();
  }

  /** Whether it may be done now; then it counts as done. */
  take(): boolean {
    const { clock, burst, refillMs } = this.#options;
    const refill = Math.floor((clock.elapsed() - this.#refilledAt) / refillMs);
    this.#refilledAt += refill * refillMs;
    this.#left = Math.min(burst, this.#left + refill);
    if (this.#left === 0) return false;
    this.#left--;
    return true;
  }
}

/** One for each of many who ask. */
export class Allowances {
  readonly #options: AllowanceOptions & { readonly most: number };
  readonly #byKey = new Map<string, Allowance>();

  /** Of more than `most` keys the one that asked longest ago begins anew. */
  constructor(options: AllowanceOptions & { readonly most: number }) {
    this.#options = options;
  }

  take(key: string): boolean {
    const own = this.#byKey.get(key) ?? new Allowance(this.#options);
    this.#byKey.delete(key);
    this.#byKey.set(key, own);
    const [oldest] = this.#byKey.keys();
    if (this.#byKey.size > this.#options.most && oldest !== undefined) this.#byKey.delete(oldest);
    return own.take();
  }
}
