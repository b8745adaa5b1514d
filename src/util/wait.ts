/** Waits that hold up the calling thread; for code that runs from its input to its output in one go. */

/** flock(2) that never waits: false when somebody else holds the lock. */
export type Flock = (fd: number, operation: 'exclusive' | 'unlock') => boolean;

export interface FlockOptions {
  readonly flock: Flock;
  /** How long to wait for another holder. */
  readonly timeoutMs: number;
  /** `sleep` unless given. */
  readonly pause?: (ms: number) => void;
}

const LONGEST_PAUSE_MS = 10;
const NEVER_WOKEN = new Int32Array(new SharedArrayBuffer(4));

/** Holds up the calling thread, and with it the event loop. */
export function sleep(ms: number): void {
  Atomics.wait(NEVER_WOKEN, 0, 0, ms);
}

/**
 * Takes flock(2) on an open file; false when others held it all the time. It is asked for again
 * after 1, 2, … 10 ms: nearly all holders are done within a few.
 */
export function takeFlock(fd: number, { flock, timeoutMs, pause = sleep }: FlockOptions): boolean {
  let waitedMs = 0;
  for (let pauseMs = 1; !flock(fd, 'exclusive'); pauseMs++) {
    if (waitedMs >= timeoutMs) return false;
    const nextMs = Math.min(pauseMs, LONGEST_PAUSE_MS, timeoutMs - waitedMs);
    pause(nextMs);
    waitedMs += nextMs;
  }
  return true;
}
