import type { ServerResponse } from 'node:http';
import type { Clock } from '../../util/clock.ts';
import { toError } from '../../util/errors.ts';
import type { FlowQuery } from '../flows/flow-event.ts';
import type { FlowAnswer } from '../flows/flow-reader.ts';
import { type HttpAnswer, plainText } from '../http/http.ts';
import { flowsOf } from './flows.ts';
import { EVENTS_HEAD, serverEvent } from './server-events.ts';
import type { PageSource } from './source.ts';

export interface FollowersOptions {
  readonly clock: Clock;
  readonly source: Pick<PageSource, 'openFlows' | 'moreFlows' | 'endFlows'>;
}

/** Each is a reader of flows, of which `weft flows` needs some too. */
export const MOST_FOLLOWERS = 4;
const EVERY_MS = 300;
/** A connection on which nothing comes is closed. */
const SIGN_EVERY_MS = 5_000;
const MOST_WAITING_BYTES = 1024 * 1024;

/** Those who follow the flows of a pod or Service: each has a reader, which goes with its connection. */
export class Followers {
  readonly #options: FollowersOptions;
  readonly #followers = new Set<ServerResponse>();
  /** Readers that are being opened. */
  #opening = 0;
  #isClosed = false;

  constructor(options: FollowersOptions) {
    this.#options = options;
  }

  /** One more, or the answer that there are too many. Throws what the source throws. */
  async answer(query: FlowQuery): Promise<HttpAnswer> {
    if (this.#isClosed || this.#followers.size + this.#opening >= MOST_FOLLOWERS) {
      const words = `${MOST_FOLLOWERS} pages follow connections already; close one of them\n`;
      return { ...plainText(503, words), headers: { 'Retry-After': '5' } };
    }
    this.#opening++;
    try {
      const first = await this.#options.source.openFlows(query);
      return { ...EVENTS_HEAD, open: (response) => this.#begin(response, first) };
    } finally {
      this.#opening--;
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const follower of this.#followers) follower.destroy();
  }

  #begin(follower: ServerResponse, first: FlowAnswer): void {
    const { clock, source } = this.#options;
    let cancel: (() => void) | undefined;
    let toldAt = clock.elapsed();
    const leave = () => {
      this.#followers.delete(follower);
      cancel?.();
      // A reader that nobody ends is forgotten within seconds.
      source.endFlows(first.reader).catch(() => undefined);
    };
    // It went while its reader was opened: no event will tell.
    if (follower.destroyed) {
      leave();
      return;
    }
    this.#followers.add(follower);
    follower.once('close', leave);
    // One that goes while it is written to closes, which is what matters.
    follower.on('error', () => undefined);
    const take = (answer: FlowAnswer) => {
      const told = flowsOf(answer);
      const isNews = told.flows.length > 0 || told.missed > 0 || answer === first;
      if (isNews || clock.elapsed() - toldAt >= SIGN_EVERY_MS) {
        this.#send(follower, isNews ? serverEvent('flows', told) : ': nothing new\n\n');
        toldAt = clock.elapsed();
      }
      cancel = clock.schedule(EVERY_MS, () => void look());
    };
    const look = async () => {
      try {
        const answer = await source.moreFlows(first.reader);
        if (!follower.destroyed) take(answer);
      } catch (thrown) {
        this.#send(follower, serverEvent('trouble', { words: toError(thrown).message }));
        follower.end();
      }
    };
    take(first);
  }

  #send(follower: ServerResponse, text: string): void {
    if (follower.destroyed) return;
    if (follower.writableLength > MOST_WAITING_BYTES) follower.destroy();
    else follower.write(text);
  }
}
