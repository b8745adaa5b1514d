import type { ServerResponse } from 'node:http';
import type { Clock } from '../../util/clock.ts';
import { toError } from '../../util/errors.ts';
import { type HttpAnswer, plainText } from '../http/http.ts';
import { changeBetween } from './change.ts';
import { EVENTS_HEAD, serverEvent } from './server-events.ts';
import type { UiSnapshot } from './snapshot.ts';

export interface ReadersOptions {
  readonly clock: Clock;
  readonly snapshot: () => Promise<UiSnapshot>;
}

export const MOST_READERS = 8;
/** From the end of one look to the begin of the next. */
const LOOK_EVERY_MS = 2_000;
/** And so many times as long as a look took, so that readers cost little where there is much to look at, */
const REST_FACTOR = 20;
/** but no longer: a connection on which nothing comes is closed. */
const MOST_REST_MS = 10_000;
/** What may wait for a reader that is slow; then it is let go and comes back for a whole snapshot. */
const MOST_WAITING_BYTES = 8 * 1024 * 1024;

/**
 * Those who watch, through server-sent events: each is sent a snapshot first, then what differs. All are
 * told the same, so that a look costs the same however many there are, and nothing while there are none.
 */
export class Readers {
  readonly #options: ReadersOptions;
  readonly #readers = new Set<ServerResponse>();
  /** Those that have nothing yet. */
  readonly #new = new Set<ServerResponse>();
  #last: UiSnapshot | undefined;
  #cancelLook: (() => void) | undefined;
  #isLooking = false;
  #isClosed = false;

  constructor(options: ReadersOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#readers.size;
  }

  /** One more, or the answer that there are too many. */
  answer(): HttpAnswer {
    if (this.#isClosed || this.#readers.size >= MOST_READERS) {
      const words = `${MOST_READERS} pages watch already; close one of them\n`;
      return { ...plainText(503, words), headers: { 'Retry-After': '5' } };
    }
    return { ...EVENTS_HEAD, open: (response) => this.#take(response) };
  }

  /** Lets all of them go, who may come back. */
  drop(): void {
    for (const reader of this.#readers) reader.destroy();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelLook?.();
    this.drop();
  }

  #take(reader: ServerResponse): void {
    this.#readers.add(reader);
    this.#new.add(reader);
    reader.once('close', () => {
      this.#readers.delete(reader);
      this.#new.delete(reader);
      if (this.#readers.size === 0) this.#rest();
    });
    // One that goes while it is written to closes, which is what matters.
    reader.on('error', () => undefined);
    // The head goes, so that whoever asked knows that it is answered.
    reader.flushHeaders();
    if (!this.#isLooking) void this.#look();
  }

  /** Nobody is there: what was known is forgotten. */
  #rest(): void {
    this.#cancelLook?.();
    this.#last = undefined;
  }

  async #look(): Promise<void> {
    const { clock, snapshot } = this.#options;
    this.#isLooking = true;
    this.#cancelLook?.();
    const startedAt = clock.elapsed();
    let delayMs = LOOK_EVERY_MS;
    try {
      const now = await snapshot();
      const tookMs = clock.elapsed() - startedAt;
      delayMs = Math.min(MOST_REST_MS, Math.max(LOOK_EVERY_MS, REST_FACTOR * tookMs));
      this.#tell(now);
    } catch (thrown) {
      this.#send(this.#readers, serverEvent('trouble', { words: toError(thrown).message }));
    }
    this.#isLooking = false;
    if (this.#isClosed || this.#readers.size === 0) return this.#rest();
    // Who came during the look waits for nothing else.
    const isAwaited = this.#new.size > 0 && this.#last !== undefined;
    this.#cancelLook = clock.schedule(isAwaited ? 0 : delayMs, () => void this.#look());
  }

  #tell(now: UiSnapshot): void {
    const change = this.#last === undefined ? undefined : changeBetween(this.#last, now);
    const old = [...this.#readers].filter((reader) => !this.#new.has(reader));
    // A comment keeps the connection, and tells the browser that it is alive.
    this.#send(old, change === undefined ? ': nothing new\n\n' : serverEvent('change', change));
    if (this.#new.size > 0) this.#send(this.#new, serverEvent('snapshot', now));
    this.#new.clear();
    this.#last = now;
  }

  #send(readers: Iterable<ServerResponse>, text: string): void {
    for (const reader of [...readers]) {
      if (reader.destroyed) continue;
      if (reader.writableLength > MOST_WAITING_BYTES) reader.destroy();
      else reader.write(text);
    }
  }
}
