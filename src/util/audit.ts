import type { Clock } from './clock.ts';
import { toError } from './errors.ts';

/** A part of what is compared, small enough to be looked at between other work. */
export interface AuditedPart {
  /** For people: `map endpoints of table ip weft-proxy`. */
  readonly what: string;
  /** Counts the differences there are now; `unsettled` while changes are on their way. */
  look(): Promise<number | 'unsettled'>;
}

export interface AuditFinding {
  readonly what: string;
  readonly differences: number;
  readonly atMs: number;
}

/** What an audit has found since it began. */
export interface AuditReport {
  readonly differences: number;
  readonly last?: AuditFinding;
  /** When the last walk ended in which every part could be compared. */
  readonly comparedAtMs?: number;
}

export interface AuditOptions {
  readonly clock: Clock;
  /** Asked at the start of each walk. */
  readonly parts: () => readonly AuditedPart[];
  /**
   * Nothing explains the difference, so it is to be repaired. `isNews` at most once in ten minutes: a
   * fault that comes back after every repair must not fill the log.
   */
  readonly onDifference: (finding: AuditFinding, isNews: boolean) => void;
  /** A look failed; the walk goes on. */
  readonly onError: (what: string, error: Error) => void;
  /** How long one walk takes; default four minutes. */
  readonly walkMs?: number;
}

const DEFAULT_WALK_MS = 240_000;
const QUIET_MS = 600_000;
/** There is nothing to compare yet. */
const EMPTY_MS = 5_000;
/** Between two looks, however many parts there are: other work needs time too. */
const MIN_PAUSE_MS = 200;
/** Until the second look: long enough to be notified of somebody's change and to begin the repair. */
const CONFIRM_MS = 2_000;
/** A part that is unsettled at every look is left to the next walk. */
const MOST_LOOKS = 4;

/**
 * Compares what ought to be with what is, slowly and always: each part once in a walk, without being
 * asked. A difference counts when a second look finds it too.
 */
export class Audit {
  readonly #options: AuditOptions;
  #parts: readonly AuditedPart[] = [];
  #at = 0;
  #pauseMs = 0;
  #isWhole = true;
  #report: AuditReport = { differences: 0 };
  #cancel: (() => void) | undefined;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;
  #quietUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: AuditOptions) {
    this.#options = options;
  }

  get report(): AuditReport {
    return this.#report;
  }

  /** Whether there was something to compare. */
  get hasParts(): boolean {
    return this.#parts.length > 0;
  }

  start(): void {
    this.#beginWalk();
  }

  /** Waits for the look in progress. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel?.();
    await this.#running;
  }

  #beginWalk(): void {
    this.#parts = this.#listParts();
    this.#at = 0;
    this.#isWhole = true;
    if (this.#parts.length === 0) {
      this.#after(EMPTY_MS, async () => this.#beginWalk());
      return;
    }
    const { walkMs = DEFAULT_WALK_MS } = this.#options;
    this.#pauseMs = Math.max(MIN_PAUSE_MS, Math.floor(walkMs / this.#parts.length));
    this.#after(this.#pauseMs, () => this.#lookAtNext(1));
  }

  #listParts(): readonly AuditedPart[] {
    try {
      return this.#options.parts();
    } catch (thrown) {
      this.#options.onError('everything', toError(thrown));
      return [];
    }
  }

  async #lookAtNext(count: number, before?: number): Promise<void> {
    const part = this.#parts[this.#at];
    if (part === undefined) return;
    const found = await this.#look(part);
    const isDone = found === 0 || count === MOST_LOOKS;
    if (found !== 'unsettled' && found > 0 && before !== undefined) this.#note(part, found);
    else if (!isDone) {
      const confirmed = found === 'unsettled' ? undefined : found;
      this.#after(CONFIRM_MS, () => this.#lookAtNext(count + 1, confirmed));
      return;
    }
    if (found === 'unsettled') this.#isWhole = false;
    this.#at++;
    if (this.#at === this.#parts.length) this.#endWalk();
    else this.#after(this.#pauseMs, () => this.#lookAtNext(1));
  }

  async #look(part: AuditedPart): Promise<number | 'unsettled'> {
    try {
      return await part.look();
    } catch (thrown) {
      this.#options.onError(part.what, toError(thrown));
      this.#isWhole = false;
      return 0;
    }
  }

  #endWalk(): void {
    if (this.#isWhole) this.#report = { ...this.#report, comparedAtMs: this.#options.clock.now() };
    this.#beginWalk();
  }

  #note({ what }: AuditedPart, differences: number): void {
    const last = { what, differences, atMs: this.#options.clock.now() };
    this.#report = { ...this.#report, last, differences: this.#report.differences + differences };
    const nowMs = this.#options.clock.elapsed();
    const isNews = nowMs >= this.#quietUntilMs;
    if (isNews) this.#quietUntilMs = nowMs + QUIET_MS;
    this.#options.onDifference(last, isNews);
  }

  #after(ms: number, step: () => Promise<void>): void {
    if (this.#isStopped) return;
    this.#cancel = this.#options.clock.schedule(ms, () => {
      this.#running = step();
    });
  }
}
