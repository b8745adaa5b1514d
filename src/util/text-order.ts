/** Negative, 0 or positive as `a` comes before, is, or comes after `b`, by UTF-16 units: for sorting. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
