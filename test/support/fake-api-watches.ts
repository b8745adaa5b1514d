import type { ServerResponse } from 'node:http';
import type { Change } from './fake-api-objects.ts';
import { type ApiEvent, eventOf, type Selector } from './fake-api-selectors.ts';
import { cutConnection, statusOf, writeEvent } from './fake-api-wire.ts';

export interface Watch {
  readonly plural: string;
  readonly isSelected: Selector;
  /** Changes up to here are not told, whatever the server's own version. */
  readonly since: number;
  readonly response: ServerResponse;
}

/** The running watches, and every way to mistreat them. */
export class FakeApiWatches {
  readonly #watches = new Set<Watch>();
  /** Events not told yet; undefined when they are told at once. */
  #held: Map<Watch, ApiEvent[]> | undefined;
  #cutAtByte: number | undefined;

  get size(): number {
    return this.#watches.size;
  }

  add(watch: Watch, missed: readonly Change[], seconds: number): void {
    for (const change of missed) this.#tellOne(watch, change);
    this.#watches.add(watch);
    const timer = setTimeout(() => watch.response.end(), seconds * 1000);
    timer.unref();
    watch.response.once('close', () => {
      clearTimeout(timer);
      this.#watches.delete(watch);
    });
  }

  tell(change: Change): void {
    for (const watch of this.#watches) this.#tellOne(watch, change);
  }

  /** A BOOKMARK with a version into every watch. */
  sendBookmarks(version: number): void {
    const metadata = { resourceVersion: String(version) };
    for (const { response } of this.#watches) {
      writeEvent(response, { type: 'BOOKMARK', object: { metadata } });
    }
  }

  /** An ERROR event into every watch, and its end. */
  sendError(status: number, reason: string): void {
    for (const { response } of this.#watches) {
      writeEvent(response, { type: 'ERROR', object: statusOf(status, reason) });
      response.end();
    }
  }

  /** Raw bytes into every watch. */
  sendRaw(bytes: Buffer): void {
    for (const { response } of this.#watches) response.write(bytes);
  }

  /** In good order, as the server does when a watch's time is up. */
  end(): void {
    for (const { response } of this.#watches) response.end();
  }

  /** Keeps events back until `releaseEvents`. */
  holdEvents(): void {
    this.#held ??= new Map();
  }

  /** Tells the events held back, rearranged: reversed, repeated, some left out. */
  releaseEvents(rearrange: (events: readonly ApiEvent[]) => readonly ApiEvent[]): void {
    const held = this.#held ?? new Map<Watch, ApiEvent[]>();
    this.#held = undefined;
    for (const [{ response }, events] of held) {
      for (const event of rearrange(events)) writeEvent(response, event);
    }
  }

  /** Cuts the connection of the next watch that gets an event after so many bytes of its line. */
  cutNextEvent(atByte: number): void {
    this.#cutAtByte = atByte;
  }

  #tellOne(watch: Watch, change: Change): void {
    if (change.plural !== watch.plural || change.version <= watch.since) return;
    const event = eventOf(change, watch.isSelected);
    if (event === undefined) return;
    if (this.#held !== undefined) {
      this.#held.set(watch, [...(this.#held.get(watch) ?? []), event]);
    } else if (this.#cutAtByte !== undefined) {
      const piece = JSON.stringify(event).slice(0, this.#cutAtByte);
      this.#cutAtByte = undefined;
      watch.response.write(piece, () => cutConnection(watch.response));
    } else writeEvent(watch.response, event);
  }
}
