/** Time as an argument: the only place that touches Date and timers, so tests can drive both. */
export interface Clock {
  /** Milliseconds since the Unix epoch, to be shown or stored: it may be set, forth and back. */
  now(): number;
  /** Milliseconds since some moment, to measure how long something took: nobody sets it. */
  elapsed(): number;
  /** Runs `callback` once after `delayMs`, at most 24 days; the returned function cancels it. */
  schedule(delayMs: number, callback: () => void): () => void;
}

/** 24.8 days: setTimeout fires at once when it is asked for more. */
const MOST_DELAY_MS = 2 ** 31 - 1;

/** The wall clock. Timers do not keep the process alive on their own. */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  schedule: (delayMs, callback) => {
    const timer = setTimeout(callback, Math.min(delayMs, MOST_DELAY_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** A moment that is shown, and that time is measured from. */
export interface Moment {
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
  /** By `Clock.elapsed`. */
  readonly elapsedMs: number;
}

/** Now. */
export function momentOf(clock: Clock): Moment {
  return { atMs: clock.now(), elapsedMs: clock.elapsed() };
}
