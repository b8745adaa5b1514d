export interface SeatsOptions<T> {
  /** How many there are. */
  readonly most: number;
  /** Ends a connection that has to give way; it has left its seat already. */
  readonly end: (holder: T) => void;
}

interface Seat {
  readonly source: string;
  isWorkedFor: boolean;
}

/** The most of all seats that one source can have, so that others always find some. */
const SHARE_OF_A_SOURCE = 3 / 4;

/**
 * Bounds how many connections there are. A connection whose request is whole keeps its seat until its
 * answer is there. All others wait for their client. When a seat is wanted, the source with the most
 * seats loses the connection that has waited for longest. So neither silent nor slow clients keep others
 * out, whether they come from one address or from many.
 */
export class Seats<T> {
  readonly #options: SeatsOptions<T>;
  /** In the order in which something last happened. */
  readonly #seats = new Map<T, Seat>();
  readonly #countBySource = new Map<string, number>();

  constructor(options: SeatsOptions<T>) {
    this.#options = options;
  }

  get taken(): number {
    return this.#seats.size;
  }

  /** False when there is no seat for a connection of `source` and none that may be taken from another. */
  take(holder: T, source: string): boolean {
    const { most } = this.#options;
    const ofSource = this.#countOf(source);
    const isOverShare = ofSource >= Math.max(1, Math.floor(most * SHARE_OF_A_SOURCE));
    if (isOverShare || this.#seats.size >= most) {
      const victim = this.#nextToGo(isOverShare ? source : undefined, ofSource);
      if (victim === undefined) return false;
      this.leave(victim);
      this.#options.end(victim);
    }
    this.#seats.set(holder, { source, isWorkedFor: false });
    this.#countBySource.set(source, this.#countOf(source) + 1);
    return true;
  }

  /** Its request is whole, or its answer is there. */
  mark(holder: T, isWorkedFor: boolean): void {
    const seat = this.#seats.get(holder);
    if (seat === undefined) return;
    seat.isWorkedFor = isWorkedFor;
    this.#seats.delete(holder);
    this.#seats.set(holder, seat);
  }

  /** Does nothing for one that has no seat. */
  leave(holder: T): void {
    const seat = this.#seats.get(holder);
    if (seat === undefined) return;
    this.#seats.delete(holder);
    const left = this.#countOf(seat.source) - 1;
    if (left === 0) this.#countBySource.delete(seat.source);
    else this.#countBySource.set(seat.source, left);
  }

  /** The connection to end; never one of a source that has fewer seats than the one that asks. */
  #nextToGo(onlyOf: string | undefined, leastCount: number): T | undefined {
    let chosen: T | undefined;
    let most = leastCount - 1;
    for (const [holder, { source, isWorkedFor }] of this.#seats) {
      if (isWorkedFor || (onlyOf !== undefined && source !== onlyOf)) continue;
      const count = this.#countOf(source);
      if (count <= most) continue;
      chosen = holder;
      most = count;
    }
    return chosen;
  }

  #countOf(source: string): number {
    return this.#countBySource.get(source) ?? 0;
  }
}
