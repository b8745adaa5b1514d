const MOST_CHARACTERS = 2_000;
const MOST_MEMBERS = 20;
const MOST_DEPTH = 6;

/**
 * What a log line has of an error with its causes. Servers and programs write into errors (a header, a
 * packet, the end of an output), so texts are cut, long lists end, and bytes are only counted.
 */
export function bounded(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return boundedText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  if (depth >= MOST_DEPTH) return '…';
  if (Array.isArray(value)) {
    const shown = value.slice(0, MOST_MEMBERS).map((item) => bounded(item, depth + 1));
    const more = value.length - shown.length;
    return more === 0 ? shown : [...shown, `… and ${more} more`];
  }
  const members = Object.entries(value).slice(0, MOST_MEMBERS);
  return Object.fromEntries(members.map(([key, item]) => [key, bounded(item, depth + 1)]));
}

/** The beginning of a text that somebody else wrote. */
function boundedText(text: string): string {
  const more = text.length - MOST_CHARACTERS;
  return more <= 0 ? text : `${text.slice(0, MOST_CHARACTERS)}… and ${more} characters more`;
}
