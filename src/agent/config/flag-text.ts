/** A flag's values, in the order given; none when it is not. */
export function texts(given: unknown): readonly string[] {
  if (given === undefined) return [];
  return Array.isArray(given) ? given.map(String) : [String(given)];
}

/** The value of a text flag; the last occurrence of a repeated one counts, as in Go's flag package. */
export function lastText(given: unknown): string | undefined {
  return texts(given).at(-1);
}
