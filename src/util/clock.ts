/** Time as an argument: the only place that touches Date and timers, so tests can drive both. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Runs `callback` once after `delayMs`, at most 24 days; the returned function cancels it. */
  schedule(delayMs: number, callback: () => void): () => void;
}

/** 24.8 days: setTimeout fires at once when it is asked for more. */
const MOST_DELAY_MS = 2 ** 31 - 1;

/** The wall clock. Timers do not keep the process alive on their own. */
export const systemClock: Clock = {
  now: () => Date.now(),
  schedule: (delayMs, callback) => {
    const timer = setTimeout(callback, Math.min(delayMs, MOST_DELAY_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
