import type { Clock } from '../../src/util/clock.ts';

/** A clock that stands still until told to advance; due callbacks run in order of their time. */
export class FakeClock implements Clock {
  #elapsed = 0;
  #startedAt = 1_700_000_000_000;
  #timers: { dueAt: number; callback: () => void }[] = [];

  now(): number {
    return this.#startedAt + this.#elapsed;
  }

  elapsed(): number {
    return this.#elapsed;
  }

  /** Somebody sets the time of day, back where `ms` is negative. */
  step(ms: number): void {
    this.#startedAt += ms;
  }

  /** How many callbacks wait. */
  get scheduled(): number {
    return this.#timers.length;
  }

  schedule(delayMs: number, callback: () => void): () => void {
    const timer = { dueAt: this.#elapsed + delayMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  advance(ms: number): void {
    const until = this.#elapsed + ms;
    for (;;) {
      const [next] = this.#timers
        .filter((timer) => timer.dueAt <= until)
        .sort((a, b) => a.dueAt - b.dueAt);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#elapsed = Math.max(this.#elapsed, next.dueAt);
      next.callback();
    }
    this.#elapsed = until;
  }
}
