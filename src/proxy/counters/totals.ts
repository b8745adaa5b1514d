/** How often something was counted, by whatever names it. */
export interface Count {
  /** Set and key of the element that counts. */
  readonly id: string;
  /** What the element stands for: with other data it is another element, which began at 0. */
  readonly data: string;
  readonly packets: number;
  /** What it adds to. */
  readonly series: string;
}

/** Written over by every reading: there are as many as elements, and garbage would cost pauses. */
interface Seen {
  data: string;
  packets: number;
  /** The element this one has replaced, whose last word may still come. */
  replaced: Pick<Count, 'data' | 'packets'> | undefined;
  /** The reading it was last seen in. */
  reading: number;
}

/**
 * Running totals over counters whose elements come, go and begin anew. A total never falls: an
 * element that has less than before, or other data, was replaced and counts from 0.
 */
export class CounterTotals {
  readonly #seen = new Map<string, Seen>();
  readonly #totals = new Map<string, number>();
  /** Last words heard during a reading: it may still list these elements as they were. */
  #retired: Map<string, Count> | undefined;
  /** The last reading that had elements of a series. */
  readonly #live = new Map<string, number>();
  #reading = 0;

  /** Begins a reading of the counters. */
  begin(): void {
    this.#reading++;
    this.#retired = new Map();
  }

  /** Takes a counter as it is now. */
  observe({ id, data, packets, series }: Count): void {
    if (this.#totals.has(series)) this.#live.set(series, this.#reading);
    const retired = this.#retired?.get(id);
    if (retired?.data === data && packets <= retired.packets) return;
    const before = this.#seen.get(id);
    if (packets === 0 && before === undefined) return;
    if (before === undefined) {
      this.#add(series, packets);
      this.#seen.set(id, { data, packets, replaced: undefined, reading: this.#reading });
      return;
    }
    const isSame = before.data === data && before.packets <= packets;
    this.#add(series, packets - (isSame ? before.packets : 0));
    before.replaced = isSame ? undefined : { data: before.data, packets: before.packets };
    before.data = isSame ? before.data : data;
    before.packets = packets;
    before.reading = this.#reading;
  }

  /** Takes the last word of a counter that is gone. */
  retire(last: Count): void {
    const { id, data, packets, series } = last;
    const seen = this.#seen.get(id);
    const late = seen?.reading === this.#reading ? seen.replaced : undefined;
    if (seen !== undefined && late?.data === data && late.packets <= packets) {
      this.#add(series, packets - late.packets);
      seen.replaced = undefined;
      return;
    }
    this.#add(series, packets - (seen?.data === data ? Math.min(seen.packets, packets) : 0));
    this.#seen.delete(id);
    this.#retired?.set(id, last);
  }

  /** Ends a reading. */
  end(): void {
    this.#retired = undefined;
  }

  /** After a reading in which nothing was missed: elements not seen in it are gone. Step by step. */
  *prune(): Generator<void> {
    for (const [id, { reading }] of this.#seen) {
      if (reading < this.#reading) this.#seen.delete(id);
      yield;
    }
  }

  /**
   * Forgets the series for which there is no use any more, step by step; `readings` is how many have
   * passed since one had elements of it.
   */
  *forget(isGone: (series: string, readings: number) => boolean): Generator<void> {
    for (const series of this.#totals.keys()) {
      if (isGone(series, this.#reading - (this.#live.get(series) ?? 0))) {
        this.#totals.delete(series);
        this.#live.delete(series);
      }
      yield;
    }
  }

  /** Totals above 0. */
  get totals(): ReadonlyMap<string, number> {
    return this.#totals;
  }

  #add(series: string, increase: number): void {
    if (increase === 0) return;
    this.#live.set(series, this.#reading);
    this.#totals.set(series, (this.#totals.get(series) ?? 0) + increase);
  }
}
