import { randomBytes } from 'node:crypto';
import type { Clock } from '../../util/clock.ts';
import { BusyError, toError, WeftError } from '../../util/errors.ts';
import type { FlowEvent, FlowFeed, FlowQuery, FlowSubscription } from './flow-event.ts';
import { FlowRing } from './flow-ring.ts';

/** What somebody who asks again and again gets each time. */
export interface FlowAnswer {
  /** To be named the next time; after some seconds without a question it is forgotten. */
  readonly reader: string;
  readonly events: readonly FlowEvent[];
  /** Events that the kernel could not hand over since the last answer. */
  readonly lost: number;
  /** Older ones that gave way since then, because they were not asked for in time. */
  readonly overwritten: number;
  /** What there was at the beginning is told; from then on it is what happens. */
  readonly isListed: boolean;
  /** More is there already: ask again at once. */
  readonly hasMore: boolean;
  /** Nothing will follow. */
  readonly isDone: boolean;
  /** What is missing in what is told, in words with the cure; with the first answer. */
  readonly notices: readonly string[];
}

export interface FlowReading {
  readonly query: FlowQuery;
  /** Also what happens from now on; otherwise only what there is. */
  readonly isFollowed: boolean;
}

export interface FlowReadersOptions {
  readonly feed: FlowFeed;
  readonly clock: Clock;
}

const MOST_READERS = 16;
const MOST_IN_ANSWER = 1_000;
const MOST_KEPT = 10_000;
/** The kernel's table is read on when there are less. */
const MOST_LISTED = 2 * MOST_IN_ANSWER;
const EXPIRY_MS = 5_000;
/** For the first connections that there are. */
const PATIENCE_MS = 2_000;

/** Readers that ask by number, each with what it has not read yet. */
export class FlowReaders {
  readonly #options: FlowReadersOptions;
  readonly #readers = new Map<string, Reader>();

  constructor(options: FlowReadersOptions) {
    this.#options = options;
  }

  async open(reading: FlowReading): Promise<FlowAnswer> {
    if (this.#readers.size >= MOST_READERS) {
      throw new BusyError(`${MOST_READERS} readers of flows are there already`);
    }
    const name = randomBytes(8).toString('hex');
    const reader = new Reader(this.#options, reading, () => this.#readers.delete(name));
    this.#readers.set(name, reader);
    try {
      await reader.start();
      return await reader.take(name);
    } catch (thrown) {
      reader.close();
      throw thrown;
    }
  }

  /** Throws ENOENT for a reader that was forgotten. */
  async next(name: string): Promise<FlowAnswer> {
    const reader = this.#readers.get(name);
    if (reader === undefined) {
      throw new WeftError('ENOENT', 'the agent has forgotten this reader of flows: begin anew');
    }
    return reader.take(name);
  }

  /** One that nobody asks any more; of one that is not there nothing is left to do. */
  end(name: string): void {
    this.#readers.get(name)?.close();
  }

  close(): void {
    for (const reader of [...this.#readers.values()]) reader.close();
  }
}

/** One reader: the table first, as fast as it is asked for; then what happened meanwhile and happens. */
class Reader {
  readonly #options: FlowReadersOptions;
  readonly #reading: FlowReading;
  readonly #onClose: () => void;
  readonly #ended = new AbortController();
  readonly #ring = new FlowRing(MOST_KEPT);
  readonly #listed: FlowEvent[] = [];
  #isListing = true;
  #failure: Error | undefined;
  /** Resolves when something was listed, or all of it. */
  #news = Promise.withResolvers<void>();
  /** Resolves when there is room for more. */
  #room = Promise.withResolvers<void>();
  #subscription: FlowSubscription | undefined;
  #notices: readonly string[] = [];
  #cancelExpiry: (() => void) | undefined;

  constructor(options: FlowReadersOptions, reading: FlowReading, onClose: () => void) {
    this.#options = options;
    this.#reading = reading;
    this.#onClose = onClose;
  }

  async start(): Promise<void> {
    const { feed } = this.#options;
    const { query, isFollowed } = this.#reading;
    if (isFollowed) {
      // Before the table is read: then no connection falls in between.
      this.#subscription = await feed.subscribe(query, (batch) => this.#ring.add(batch));
      this.#notices = this.#subscription.notices;
    }
    this.#listed.push(...(await feed.past(query)));
    void this.#list();
  }

  async take(name: string): Promise<FlowAnswer> {
    this.#cancelExpiry?.();
    await this.#firstListed();
    if (this.#failure !== undefined) throw this.#failure;
    const listed = this.#listed.splice(0, MOST_IN_ANSWER);
    if (this.#listed.length < MOST_LISTED) this.#room.resolve();
    const isListed = !this.#isListing && this.#listed.length === 0;
    const { events, lost, overwritten } = this.#ring.take(
      isListed ? MOST_IN_ANSWER - listed.length : 0,
    );
    const notices = this.#notices;
    this.#notices = [];
    const isDone = isListed && !this.#reading.isFollowed;
    if (isDone) this.close();
    else this.#cancelExpiry = this.#options.clock.schedule(EXPIRY_MS, () => this.close());
    return {
      ...{ reader: name, events: [...listed, ...events], lost, overwritten, notices },
      ...{ isListed, isDone },
      hasMore: !isListed || this.#ring.size > 0,
    };
  }

  close(): void {
    this.#cancelExpiry?.();
    this.#subscription?.close();
    this.#ended.abort();
    this.#room.resolve();
    this.#onClose();
  }

  async #list(): Promise<void> {
    const { signal } = this.#ended;
    try {
      const { feed } = this.#options;
      await feed.live(
        this.#reading.query,
        async (events) => {
          this.#listed.push(...events);
          this.#news.resolve();
          if (this.#listed.length < MOST_LISTED) return;
          this.#room = Promise.withResolvers();
          await this.#room.promise;
        },
        signal,
      );
    } catch (thrown) {
      if (!signal.aborted) this.#failure = toError(thrown);
    }
    this.#isListing = false;
    this.#news.resolve();
  }

  /** An answer without anything would be asked again at once. */
  async #firstListed(): Promise<void> {
    if (!this.#isListing || this.#listed.length > 0) return;
    this.#news = Promise.withResolvers();
    const cancel = this.#options.clock.schedule(PATIENCE_MS, () => this.#news.resolve());
    await this.#news.promise.finally(cancel);
  }
}
