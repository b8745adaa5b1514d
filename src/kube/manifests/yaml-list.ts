/** A block sequence under `items`, cut into texts that can be parsed on their own. */
export interface YamlList {
  /** The document with an empty list. */
  readonly head: string;
  readonly items: readonly { readonly text: string; readonly offset: number }[];
}

/** Below this a document is parsed as fast as it is cut. */
const MIN_CHARACTERS = 16 << 10;
/** Anchors, aliases and tabs: only a parser can tell which items they connect. */
const UNCLEAR = /\t|(?:^|[\s,[{])[&*][^\s&*]/m;

/**
 * Cuts a long YAML document as kubectl writes lists: `items:` at the start of a line, and below it
 * entries that begin with a dash in one column. What belongs to an entry stands in a column behind its
 * dash (YAML 1.2 section 8.2.1), so that lines are enough to find the borders; the dash becomes a
 * space, and each entry a document of its own. Undefined for everything else.
 */
export function splitYamlList(text: string): YamlList | undefined {
  if (text.length < MIN_CHARACTERS || UNCLEAR.test(text)) return undefined;
  const [key, ...others] = text.matchAll(/^items:[ ]*(?:#.*)?\n/gm);
  if (key === undefined || others.length > 0) return undefined;
  const start = key.index + key[0].length;
  const indent = /^( *)- /m.exec(text.slice(start, start + MIN_CHARACTERS))?.[1];
  if (indent === undefined) return undefined;
  const { starts, end } = findEntries(text, start, indent);
  if (starts.length === 0) return undefined;
  const items = starts.map((offset, index) => {
    const entry = text.slice(offset, starts[index + 1] ?? end);
    return { text: `${indent} ${entry.slice(indent.length + 1)}`, offset };
  });
  const before = text.slice(0, key.index);
  return { head: `${before}items: []\n${text.slice(end)}`, items };
}

/** Where the entries begin, and where the first line is that belongs to none. */
function findEntries(
  text: string,
  start: number,
  indent: string,
): { starts: number[]; end: number } {
  const starts: number[] = [];
  const entry = `${indent}- `;
  const inside = `${indent} `;
  let end = start;
  while (end < text.length) {
    const lineEnd = text.indexOf('\n', end) + 1 || text.length;
    const isEntry = text.startsWith(entry, end);
    const isInside = text.startsWith(inside, end) || text[end] === '\n' || text[end] === '#';
    if (isEntry) starts.push(end);
    else if (!isInside) break;
    end = lineEnd;
  }
  return { starts, end };
}
