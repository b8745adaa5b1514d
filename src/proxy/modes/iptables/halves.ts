/**
 * Applies something to many items at once; what fails is halved until it is known which of them it
 * is. Gives those that it was applied to.
 */
export async function applyInHalves<T>(
  items: readonly T[],
  apply: (items: readonly T[]) => Promise<void>,
  onFailure: (item: T, error: unknown) => void,
): Promise<readonly T[]> {
  const [first] = items;
  if (first === undefined) return [];
  try {
    await apply(items);
    return items;
  } catch (thrown) {
    if (items.length === 1) {
      onFailure(first, thrown);
      return [];
    }
  }
  const middle = Math.ceil(items.length / 2);
  const left = await applyInHalves(items.slice(0, middle), apply, onFailure);
  const right = await applyInHalves(items.slice(middle), apply, onFailure);
  return [...left, ...right];
}
