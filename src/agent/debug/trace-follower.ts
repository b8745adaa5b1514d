import type { TraceEvent } from '../../nftables/trace.ts';
import { isEndOfTrace } from './live-outcome.ts';

/**
 * Collects the events of one packet, the first that is seen. The kernel's id of a packet changes
 * where it passes from a bridge to the IP stack, so a packet from the same address and port joins.
 */
export class TraceFollower {
  readonly #events: TraceEvent[] = [];
  readonly #ids = new Set<number>();

  get events(): readonly TraceEvent[] {
    return this.#events;
  }

  /** Whether the packet's way is known to its end. */
  get isComplete(): boolean {
    const last = this.#events.at(-1);
    return last !== undefined && isEndOfTrace(last);
  }

  add(event: TraceEvent): void {
    if (this.isComplete || !this.#isOurs(event)) return;
    this.#ids.add(event.id);
    this.#events.push(event);
  }

  #isOurs({ id, packet }: TraceEvent): boolean {
    if (this.#events.length === 0 || this.#ids.has(id)) return true;
    const first = this.#events[0]?.packet;
    return (
      first !== undefined &&
      packet !== undefined &&
      packet.source === first.source &&
      packet.sourcePort === first.sourcePort &&
      packet.protocol === first.protocol
    );
  }
}
