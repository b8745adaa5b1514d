import type { Clock } from '../util/clock.ts';
import { Reminder } from '../util/complaints.ts';
import type { Logger } from '../util/log.ts';

/** What was not said is counted with the next. */
const REPAIRS_SAID_MS = 60_000;
const ERRORS_SAID_MS = 10_000;

/** What a fabric says to the log: the same words once, and others now and then. */
export class FabricLog {
  readonly #log: Logger;
  readonly #repairsSaid: Reminder;
  readonly #errorSaid: Reminder;
  #unsaidRepairs = 0;
  #lastError = '';
  #lastNotices = '';

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#repairsSaid = new Reminder(clock, REPAIRS_SAID_MS);
    this.#errorSaid = new Reminder(clock, ERRORS_SAID_MS);
  }

  repaired(count: number): void {
    this.#unsaidRepairs += count;
    if (this.#unsaidRepairs === 0 || !this.#repairsSaid.isDue('')) return;
    this.#log.warn({ repairs: this.#unsaidRepairs }, 'somebody changed entries of the fabric');
    this.#unsaidRepairs = 0;
  }

  noticed(notices: string): void {
    if (notices === this.#lastNotices) return;
    this.#lastNotices = notices;
    if (notices !== '') this.#log.info({ notices }, 'about the fabric');
  }

  failed(reason: string, message: string): void {
    if (reason === this.#lastError || !this.#errorSaid.isDue('')) return;
    this.#lastError = reason;
    this.#log.error({ reason }, message);
  }

  /** The next failure is news, whatever its reason. */
  succeeded(): void {
    this.#lastError = '';
  }
}
