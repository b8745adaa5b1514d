import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * Visits tens of thousands of items without holding the event loop, which has a turn after each
 * `itemsPerTurn` of them: as many as take a few milliseconds.
 */
export async function inTurns<T>(
  items: Iterable<T>,
  visit: (item: T) => void,
  itemsPerTurn = 250,
): Promise<void> {
  let count = 0;
  for (const item of items) {
    visit(item);
    if (++count % itemsPerTurn === 0) await nextTurn();
  }
}
