/** With more different texts than this the collection starts over; clusters have fewer nodes. */
const MAX_TEXTS = 20_000;
const texts = new Map<string, string>();

/**
 * One shared copy of a text that many objects repeat: names of nodes, zones, namespaces. JSON.parse
 * makes a new copy each time, which at 50,000 endpoints costs megabytes.
 */
export function interned<T extends string | undefined>(text: T): T {
  if (text === undefined) return text;
  const known = texts.get(text);
  // The known text equals the given one, so it has its type.
  if (known !== undefined) return known as T;
  if (texts.size >= MAX_TEXTS) texts.clear();
  texts.set(text, text);
  return text;
}
