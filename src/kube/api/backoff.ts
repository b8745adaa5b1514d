export interface BackoffLimits {
  readonly minMs: number;
  readonly maxMs: number;
}

/** client-go's reflector: 0.8 s doubling up to 30 s, and up to the same again as jitter. */
export const REFLECTOR_BACKOFF: BackoffLimits = { minMs: 800, maxMs: 30_000 };

/** Waiting times that double from one failure to the next, each stretched by a random factor 1 to 2. */
export class Backoff {
  readonly #limits: BackoffLimits;
  readonly #random: () => number;
  #nextMs: number;

  constructor(limits: BackoffLimits, random: () => number) {
    this.#limits = limits;
    this.#random = random;
    this.#nextMs = limits.minMs;
  }

  /** Nothing failed since the start or the last reset. */
  get isFresh(): boolean {
    return this.#nextMs === this.#limits.minMs;
  }

  next(): number {
    const baseMs = this.#nextMs;
    this.#nextMs = Math.min(baseMs * 2, this.#limits.maxMs);
    return Math.round(baseMs * (1 + this.#random()));
  }

  reset(): void {
    this.#nextMs = this.#limits.minMs;
  }
}
