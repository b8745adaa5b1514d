import { setImmediate as nextTurn } from 'node:timers/promises';

/** Small enough to take a few milliseconds. */
const ITEMS_PER_TURN = 250;

/** Visits tens of thousands of items without holding the event loop. */
export async function inTurns<T>(items: Iterable<T>, visit: (item: T) => void): Promise<void> {
  let count = 0;
  for (const item of items) {
    visit(item);
    if (++count % ITEMS_PER_TURN === 0) await nextTurn();
  }
}
