import type { Clock } from '../../util/clock.ts';

/**
 * Nodes that renew their leases. Clocks of nodes differ, so what counts is when a renewal was seen here.
 */
export class AliveNodes {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #seen = new Map<string, { readonly renewal: string; readonly atMs: number }>();

  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
  }

  /** A lease as it is now; the same renewal again says nothing. */
  see(node: string, renewal: string): void {
    if (this.#seen.get(node)?.renewal === renewal) return;
    this.#seen.set(node, { renewal, atMs: this.#clock.elapsed() });
  }

  forget(node: string): void {
    this.#seen.delete(node);
  }

  /** Those that renewed within so long, by default the time of a lease. */
  list(withinMs: number = this.#leaseMs): ReadonlySet<string> {
    const now = this.#clock.elapsed();
    const alive = [...this.#seen].filter(([, { atMs }]) => now - atMs < withinMs);
    return new Set(alive.map(([node]) => node));
  }
}
