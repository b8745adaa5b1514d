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
