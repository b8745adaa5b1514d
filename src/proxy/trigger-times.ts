/** The metric they are for tells shares, which as many tell well enough. */
const MOST_RESTORED = 10_000;

/**
 * When the changes that wait for a sync happened in the cluster, by Service, as the slices'
 * last-change-trigger-time annotation tells. Changes from before the start are not ours to time.
 */
export class TriggerTimes {
  readonly #startedAtMs: number;
  /** Of a sync that failed: its changes are still waiting. */
  #restored: readonly number[] = [];
  readonly #times = new Map<string, number[]>();

  constructor(startedAtMs: number) {
    this.#startedAtMs = startedAtMs;
  }

  /** Notes the time of a change; NaN is passed over. */
  note(service: string, atMs: number): void {
    if (Number.isNaN(atMs) || atMs < this.#startedAtMs) return;
    const times = this.#times.get(service);
    if (times === undefined) this.#times.set(service, [atMs]);
    else times.push(atMs);
  }

  /** A removed slice carries the time of its last update, which says nothing about the removal. */
  forget(service: string): void {
    this.#times.delete(service);
  }

  /** All times noted since the last call, in milliseconds since the epoch. */
  drain(): readonly number[] {
    const times = [...this.#restored, ...[...this.#times.values()].flat()];
    this.#restored = [];
    this.#times.clear();
    return times;
  }

  /** Takes back what was drained for a sync that failed; the oldest of too many. */
  restore(times: readonly number[]): void {
    this.#restored = times.slice(0, MOST_RESTORED);
  }
}
