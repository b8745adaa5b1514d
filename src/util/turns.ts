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

/** Work in small steps, with nothing but time between them; gives its result. */
export type Steps<T> = Generator<void, T, void>;

/** Takes the steps, others having a turn whenever the time of one is over. */
export async function takeInTurns<T>(steps: Steps<T>): Promise<T> {
  const turn = new Turn();
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (turn.isOver) await turn.next();
  }
}

/** Takes all steps at once, where there are few. */
export function takeAtOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Visits tens of thousands of items; others have a turn whenever the time of one is over. */
export async function inTurns<T>(items: Iterable<T>, visit: (item: T) => void): Promise<void> {
  const turn = new Turn();
  for (const item of items) {
    visit(item);
    if (turn.isOver) await turn.next();
  }
}

/**
 * Cuts items into parts of at most `size`, as many as one request to the kernel carries. The kernel
 * works on a part while we wait for it, so others have a turn after each, however short it was.
 */
export async function* inParts<T>(items: readonly T[], size: number): AsyncGenerator<readonly T[]> {
  for (let first = 0; first < items.length; first += size) {
    if (first > 0) await setImmediate();
    yield items.slice(first, first + size);
  }
}
