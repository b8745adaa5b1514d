import type { Watch } from '../../kernel/node-events.ts';
import type { IPFamily } from '../../net/ip.ts';
import type { Clock } from '../../util/clock.ts';

/** Whom a watch tells. */
export interface DriftOptions {
  readonly clock: Clock;
  /** Somebody has changed what is ours in a family: `what` names it. */
  readonly onDrift: (family: IPFamily, what: readonly string[]) => void;
  readonly onError: (family: IPFamily, error: unknown) => void;
}

/** Somebody who changes rules rarely makes one change only. */
const SETTLE_MS = 200;
const MIN_INTERVAL_MS = 1_000;
/** Looking takes longer the more there is: it may take this share of the time. */
const MAX_SHARE = 1 / 50;
/** Whoever fights over the rules with us is answered ever more slowly. */
const MAX_INTERVAL_MS = 60_000;

/** Several watches as one. */
export function together(watches: readonly Watch[]): Watch {
  return {
    close() {
      for (const watch of watches) watch.close();
    },
  };
}

/** Looks at one family from time to time, and soon when it is told to. */
export class DriftWatch implements Watch {
  readonly #family: IPFamily;
  readonly #pollMs: number;
  readonly #find: () => Promise<readonly string[]>;
  readonly #options: DriftOptions;
  #cancel: (() => void) | undefined;
  #dueAtMs = Number.POSITIVE_INFINITY;
  #notBeforeMs = 0;
  #isLooking = false;
  #isNoted = false;
  #isClosed = false;
  #backOffMs = 0;

  /** `find` names what is not as it was written. */
  constructor(
    family: IPFamily,
    pollMs: number,
    find: () => Promise<readonly string[]>,
    options: DriftOptions,
  ) {
    this.#family = family;
    this.#pollMs = pollMs;
    this.#find = find;
    this.#options = options;
    this.#lookAt(options.clock.elapsed() + pollMs);
  }

  /** Something may have changed: looks soon. */
  note(): void {
    if (this.#isLooking) this.#isNoted = true;
    else this.#lookAt(Math.max(this.#options.clock.elapsed() + SETTLE_MS, this.#notBeforeMs));
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  #lookAt(dueAtMs: number): void {
    if (this.#isClosed || dueAtMs >= this.#dueAtMs) return;
    this.#cancel?.();
    this.#dueAtMs = dueAtMs;
    const { clock } = this.#options;
    this.#cancel = clock.schedule(Math.max(0, dueAtMs - clock.elapsed()), () => void this.#look());
  }

  async #look(): Promise<void> {
    const { clock, onDrift, onError } = this.#options;
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    this.#isLooking = true;
    this.#isNoted = false;
    const startedAtMs = clock.elapsed();
    try {
      const drift = await this.#find();
      if (drift.length > 0 && !this.#isClosed) onDrift(this.#family, drift);
      this.#backOff(drift.length > 0);
    } catch (thrown) {
      if (!this.#isClosed) onError(this.#family, thrown);
      this.#backOff(true);
    }
    this.#isLooking = false;
    const now = clock.elapsed();
    const pause = Math.max(MIN_INTERVAL_MS, (now - startedAtMs) / MAX_SHARE, this.#backOffMs);
    this.#notBeforeMs = now + pause;
    if (this.#isNoted) this.#lookAt(this.#notBeforeMs);
    this.#lookAt(Math.max(this.#notBeforeMs, now + this.#pollMs));
  }

  #backOff(isNeeded: boolean): void {
    const next = Math.max(MIN_INTERVAL_MS, 2 * this.#backOffMs);
    this.#backOffMs = isNeeded ? Math.min(MAX_INTERVAL_MS, next) : 0;
  }
}
