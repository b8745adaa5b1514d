/** The value of a text flag; the last occurrence of a repeated one counts. */
export function lastText(given: unknown): string | undefined {
  if (given === undefined) return undefined;
  return String(Array.isArray(given) ? given.at(-1) : given);
}
