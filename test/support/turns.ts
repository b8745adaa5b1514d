/** Runs `work` and counts the turns of the event loop that others got until it was done. */
export async function countTurns<T>(
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly turns: number }> {
  let turns = 0;
  let next = setImmediate(count);
  function count(): void {
    turns++;
    next = setImmediate(count);
  }
  try {
    return { result: await work(), turns };
  } finally {
    clearImmediate(next);
  }
}
