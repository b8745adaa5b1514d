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

/** The text time.Duration.String gives for `milliseconds`: `1m30s`, `1.5s`, `250ms`, `0s`. */
export function formatGoDuration(milliseconds: number): string {
  const sign = milliseconds < 0 ? '-' : '';
  const nanoseconds = Math.round(Math.abs(milliseconds) * 1e6);
  if (nanoseconds === 0) return '0s';
  if (nanoseconds < 1e3) return `${sign}${nanoseconds}ns`;
  if (nanoseconds < 1e6) return `${sign}${decimal(nanoseconds, 1e3)}µs`;
  if (nanoseconds < 1e9) return `${sign}${decimal(nanoseconds, 1e6)}ms`;
  const hours = Math.floor(nanoseconds / 3600e9);
  const minutes = Math.floor((nanoseconds % 3600e9) / 60e9);
  const seconds = decimal(nanoseconds % 60e9, 1e9);
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}s`;
  return minutes > 0 ? `${sign}${minutes}m${seconds}s` : `${sign}${seconds}s`;
}

function decimal(nanoseconds: number, unit: number): string {
  const fraction = String(nanoseconds % unit)
    .padStart(String(unit).length - 1, '0')
    .replace(/0+$/, '');
  const whole = Math.floor(nanoseconds / unit);
  return fraction === '' ? String(whole) : `${whole}.${fraction}`;
}
