/** Which endpoint is in which slot. An endpoint is any text; there may be several slots of one. */

/** The endpoints, each as often as it has shares. */
export function repeatByWeight(
  endpoints: readonly string[],
  weights: readonly number[] | undefined,
): readonly string[] {
  if (weights === undefined) return endpoints;
  return endpoints.flatMap((endpoint, i) => Array<string>(weights[i] ?? 1).fill(endpoint));
}

/**
 * Assigns what is wanted to the slots 0 to n - 1 with as few changes to `previous` as there can be:
 * who stays keeps its slot, newcomers take the slots of those who left, then the end of the list
 * fills what holes remain or the list grows.
 */
export function assignSlots(
  previous: readonly string[],
  wanted: readonly string[],
): readonly string[] {
  if (previous.length === 0) return wanted;
  const missing = new Map<string, number>();
  for (const endpoint of wanted) missing.set(endpoint, (missing.get(endpoint) ?? 0) + 1);
  const slots: (string | undefined)[] = previous.map((slot) => {
    const count = missing.get(slot) ?? 0;
    if (count > 0) missing.set(slot, count - 1);
    return count > 0 ? slot : undefined;
  });
  const newcomers = [...missing].flatMap(([endpoint, count]) =>
    Array<string>(count).fill(endpoint),
  );
  let next = 0;
  for (let i = 0; i < slots.length; i++) slots[i] ??= newcomers[next++];
  const filled: string[] = [];
  for (let i = 0; i < slots.length; i++) {
    while (slots.length > i && slots.at(-1) === undefined) slots.pop();
    if (i >= slots.length) break;
    const slot = slots[i] ?? slots.pop();
    if (slot !== undefined) filled.push(slot);
  }
  return [...filled, ...newcomers.slice(next)];
}
