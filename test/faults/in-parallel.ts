/** Runs `work` with the numbers below `count`, so many at once. */
export async function inParallel(
  count: number,
  parallel: number,
  work: (n: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}
