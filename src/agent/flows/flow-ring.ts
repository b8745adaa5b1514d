import type { FlowBatch, FlowEvent } from './flow-event.ts';

export interface TakenFlows extends FlowBatch {
  /** Events that gave way to later ones before anybody took them. */
  readonly overwritten: number;
}

/** What waits for one reader: so many events at most, of which the oldest give way and are counted. */
export class FlowRing {
  readonly #most: number;
  readonly #slots: FlowEvent[] = [];
  /** Where the oldest is. */
  #first = 0;
  #size = 0;
  #lost = 0;
  #overwritten = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#size;
  }

  add({ events, lost }: FlowBatch): void {
    this.#lost += lost;
    for (const event of events) {
      this.#slots[(this.#first + this.#size) % this.#most] = event;
      if (this.#size < this.#most) {
        this.#size++;
      } else {
        this.#first = (this.#first + 1) % this.#most;
        this.#overwritten++;
      }
    }
  }

  /** The oldest, and what was lost since it was last called. */
  take(most: number): TakenFlows {
    const count = Math.min(most, this.#size);
    const events = Array.from({ length: count }, (_, i) => this.#at(i)).flatMap(
      (event) => event ?? [],
    );
    this.#first = (this.#first + count) % this.#most;
    this.#size -= count;
    const taken = { events, lost: this.#lost, overwritten: this.#overwritten };
    this.#lost = 0;
    this.#overwritten = 0;
    return taken;
  }

  #at(index: number): FlowEvent | undefined {
    return this.#slots[(this.#first + index) % this.#most];
  }
}
