import type { Clock } from './clock.ts';
import { toError } from './errors.ts';

export interface RunnerIntervals {
  /** Quiet time between the end of one run and the start of the next; the first run is immediate. */
  readonly minIntervalMs: number;
  /** Wait before a failed run is tried again. */
  readonly retryIntervalMs: number;
  /** A run happens at least this often; undefined for never. */
  readonly maxIntervalMs?: number;
}

export interface RunnerOptions extends RunnerIntervals {
  readonly clock: Clock;
  readonly onError: (error: Error) => void;
}

/** Quiet time before a run that is urgent: enough that two who undo each other's work do not spin. */
const URGENT_INTERVAL_MS = 200;

/**
 * Runs one job at most every `minIntervalMs`, counted from the end of the last run, and folds all
 * triggers that arrive meanwhile into one. A run never overlaps itself; a failed run repeats after
 * `retryIntervalMs` even if nobody asks. Follows kube-proxy's BoundedFrequencyRunner contract.
 */
export class BoundedFrequencyRunner {
  readonly #job: () => Promise<void>;
  #options: RunnerOptions;
  #cancelTimer: (() => void) | undefined;
  #timerDueAt = Number.POSITIVE_INFINITY;
  #lastEnd = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;
  #triggered = false;
  #isUrgent = false;
  #stopped = false;

  constructor(job: () => Promise<void>, options: RunnerOptions) {
    this.#job = job;
    this.#options = options;
  }

  /**
   * Asks for a run as soon as the minimum interval allows, or where it is urgent 200 ms after the
   * last one. Never blocks.
   */
  trigger({ isUrgent = false }: { readonly isUrgent?: boolean } = {}): void {
    if (this.#stopped) return;
    if (this.#running !== undefined) {
      this.#triggered = true;
      this.#isUrgent ||= isUrgent;
      return;
    }
    this.#runAt(Math.max(this.#options.clock.elapsed(), this.#lastEnd + this.#quietMs(isUrgent)));
  }

  /** Other intervals, from the end of the next run on; asks for that run. */
  setIntervals(intervals: RunnerIntervals): void {
    this.#options = { ...this.#options, ...intervals };
    this.trigger();
  }

  /** Cancels what is planned and waits for the run in progress, if any. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    await this.#running;
  }

  #runAt(dueAt: number): void {
    if (dueAt >= this.#timerDueAt) return;
    this.#cancelTimer?.();
    this.#timerDueAt = dueAt;
    const delayMs = Math.max(0, dueAt - this.#options.clock.elapsed());
    this.#cancelTimer = this.#options.clock.schedule(delayMs, () => this.#start());
  }

  #start(): void {
    this.#cancelTimer = undefined;
    this.#timerDueAt = Number.POSITIVE_INFINITY;
    this.#triggered = false;
    this.#isUrgent = false;
    this.#running = this.#runOnce().then((succeeded) => {
      this.#running = undefined;
      this.#planNext(succeeded);
    });
  }

  async #runOnce(): Promise<boolean> {
    try {
      await this.#job();
      return true;
    } catch (thrown) {
      this.#options.onError(toError(thrown));
      return false;
    }
  }

  #planNext(succeeded: boolean): void {
    if (this.#stopped) return;
    const { clock, minIntervalMs, retryIntervalMs, maxIntervalMs } = this.#options;
    const now = clock.elapsed();
    this.#lastEnd = now;
    if (this.#triggered) this.#runAt(now + this.#quietMs(this.#isUrgent));
    if (!succeeded) this.#runAt(now + Math.max(retryIntervalMs, minIntervalMs));
    if (maxIntervalMs !== undefined) this.#runAt(now + Math.max(maxIntervalMs, minIntervalMs));
  }

  #quietMs(isUrgent: boolean): number {
    const { minIntervalMs } = this.#options;
    return isUrgent ? Math.min(minIntervalMs, URGENT_INTERVAL_MS) : minIntervalMs;
  }
}
