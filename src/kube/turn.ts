import { setImmediate } from 'node:timers/promises';

/** Long enough that yielding costs nothing, short enough that nobody waits noticeably for us. */
const TURN_MS = 2;

/**
 * Shares the event loop: work in small steps asks `isOver` after each, and awaits `next` when it is.
 * Counts from its making, or from the end of the last wait.
 */
export class Turn {
  #startedAt = performance.now();

  get isOver(): boolean {
    return performance.now() - this.#startedAt >= TURN_MS;
  }

  /** Lets everything else run that waits. */
  async next(): Promise<void> {
    await setImmediate();
    this.#startedAt = performance.now();
  }
}
