/** Go's text form of a duration (`1h30m0s`), which Kubernetes configuration files and flags use. */

const UNIT_NANOSECONDS: ReadonlyMap<string, number> = new Map([
  ['ns', 1],
  ['us', 1e3],
  ['µs', 1e3],
  ['μs', 1e3],
  ['ms', 1e6],
  ['s', 1e9],
  ['m', 60e9],
  ['h', 3600e9],
]);
const WHOLE = /^[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/;
const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;
/** A Go duration is a signed 64-bit count of nanoseconds, about 292 years. */
const MAX_NANOSECONDS = 2 ** 63;

/**
 * Milliseconds of a Go duration, possibly negative or fractional; undefined when the text is none.
 * Follows time.ParseDuration: a bare number other than 0 has no unit and is refused.
 */
export function parseGoDuration(text: string): number | undefined {
  if (!WHOLE.test(text)) return undefined;
  let nanoseconds = 0;
  for (const [, amount, unit] of text.matchAll(PART)) {
    nanoseconds += Number(amount) * (UNIT_NANOSECONDS.get(unit ?? '') ?? Number.NaN);
  }
  if (nanoseconds >= MAX_NANOSECONDS) return undefined;
  const milliseconds = nanoseconds / 1e6;
  return text.startsWith('-') && milliseconds !== 0 ? -milliseconds : milliseconds;
}
