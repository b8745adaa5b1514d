/** What of a manifest is read at all: a file somebody drops must not hold the agent, nor fill its memory. */
import { type Document, isPair, isScalar, visit } from 'yaml';

/** More than any cluster's objects: text is held whole while it is cut. */
export const MOST_FILE_BYTES = 256 << 20;
/** What an API server takes for one object. */
const MOST_JSON_CHARACTERS = 3 << 20;
/** The YAML parser makes about 1 MB in a few seconds, and has no turns. */
const MOST_YAML_CHARACTERS = 1 << 20;
/** Objects of Kubernetes have less than 50; the parser's time grows with the square. */
const MOST_NESTED = 500;
/** `- - - `; blocks that begin with a line each are few in a piece of that size. */
const ENTRIES_IN_ONE_LINE = new RegExp(`(?:[-?] +){${MOST_NESTED}}`);

/** Why a piece is not parsed as JSON; undefined: nothing speaks against it. */
export function whyNoJson(text: string): string | undefined {
  if (text.length <= MOST_JSON_CHARACTERS) return undefined;
  return `one object of ${sizeOf(text.length)}: ${sizeOf(MOST_JSON_CHARACTERS)} is the most that an API server takes`;
}

/** The same of YAML. */
export function whyNoYaml(text: string): string | undefined {
  if (text.length > MOST_YAML_CHARACTERS) {
    return `${sizeOf(text.length)} of YAML in one piece: ${sizeOf(MOST_YAML_CHARACTERS)} is the most; write it as JSON, or in several documents`;
  }
  const isNested = isDeep(text) || ENTRIES_IN_ONE_LINE.test(text);
  return isNested ? `more than ${MOST_NESTED} lists or mappings within one another` : undefined;
}

function sizeOf(bytes: number): string {
  return bytes < 1 << 20
    ? `${Math.ceil(bytes / 1024)} KiB`
    : `${(bytes / (1 << 20)).toFixed(1)} MiB`;
}

/** Brackets in quotes count too: nobody has that many unpaired ones. */
function isDeep(text: string): boolean {
  let depth = 0;
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    if (bracket === ']' || bracket === '}') depth = Math.max(0, depth - 1);
    else if (++depth > MOST_NESTED) return true;
  }
  return false;
}

/**
 * Offset of a key that its mapping has already. The parser's own check compares each key with all
 * before it: 100,000 labels took minutes.
 */
export function repeatedKey(document: Document.Parsed): number | undefined {
  let found: number | undefined;
  visit(document, {
    Map: (_key, { items }) => {
      const seen = new Set<unknown>();
      for (const item of items) {
        const key = isPair(item) ? item.key : undefined;
        if (!isScalar(key)) continue;
        if (seen.has(key.value) && key.value !== '<<') {
          found = key.range?.[0];
          return visit.BREAK;
        }
        seen.add(key.value);
      }
      return undefined;
    },
  });
  return found;
}
