import { availableParallelism } from 'node:os';

/** Does the same with each value, as many at a time as there are processors; results in their order. */
export async function inLanes<T, R>(
  values: readonly T[],
  work: (value: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  const waiting = values.entries();
  const lane = async () => {
    for (const [index, value] of waiting) results[index] = await work(value);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
  return results;
}
