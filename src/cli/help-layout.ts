/** Terminals are at least this wide. */
export const HELP_WIDTH = 80;

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
    if (last === undefined || joined.length > HELP_WIDTH) lines.push(word);
    else lines[lines.length - 1] = joined;
  }
  return lines;
}

/** Nearly every flag takes a text, so only switches are worth a mark. */
export function withoutTextMarks(help: string): string {
  return help
    .replaceAll(/\n +\[string\](?=\n)/g, '')
    .replaceAll(/ *\[string\]$/gm, '')
    .replaceAll(/(?<=\S)\[boolean\]$/gm, ' [boolean]');
}
