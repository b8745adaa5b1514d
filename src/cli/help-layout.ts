import { TEXT_WIDTH, wrapped } from '../util/text-layout.ts';

/**
 * Lays out lines that begin in the first column as paragraphs of at most 80 columns; what is
 * indented (lists, examples) stays as it is written.
 */
export function paragraphs(text: string): string {
  const laidOut: string[] = [];
  let words: string[] = [];
  const flush = () => {
    if (words.length > 0) laidOut.push(...filled(words));
    words = [];
  };
  for (const line of text.split('\n')) {
    if (line !== '' && !line.startsWith(' ')) {
      words.push(...line.split(' '));
      // What ends so introduces the lines below it.
      if (line.endsWith(':')) flush();
    } else {
      flush();
      laidOut.push(line);
    }
  }
  flush();
  return laidOut.join('\n');
}

function filled(words: readonly string[]): readonly string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    const joined = `${last} ${word}`;
    if (last === undefined || joined.length > TEXT_WIDTH) lines.push(word);
    else lines[lines.length - 1] = joined;
  }
  return lines;
}

/** The widest left column; what is wider has a line of its own. */
const MOST_LEFT = 26;
const GAP = 2;

/** A table of two columns of at most 80: no word of either is broken. */
export function entryLines(
  entries: readonly { readonly left: string; readonly right: string }[],
): readonly string[] {
  const widest = Math.max(0, ...entries.map(({ left }) => left.length));
  const width = Math.min(widest, MOST_LEFT);
  const next = ' '.repeat(GAP + width + GAP);
  return entries.flatMap(({ left, right }) => {
    const head = `${' '.repeat(GAP)}${left}`;
    if (left.length > width) return [head, ...wrapped(right, { first: next, next })];
    return wrapped(right, { first: head.padEnd(next.length), next });
  });
}
