/** Text for terminals, which are at least this wide. */
export const TEXT_WIDTH = 80;

/** Fills lines with words; a word that is longer than a line has one of its own. */
export function wrapped(
  text: string,
  indents: { readonly first: string; readonly next: string },
  mostWidth = TEXT_WIDTH,
): readonly string[] {
  const lines: string[] = [];
  let line = indents.first;
  let isEmpty = true;
  for (const word of text.split(' ')) {
    if (!isEmpty && line.length + 1 + word.length > mostWidth) {
      lines.push(line);
      line = indents.next;
      isEmpty = true;
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, line];
}

export interface Column {
  readonly title: string;
  /** Numbers end at one place, words begin at one. */
  readonly isNumber?: boolean;
}

const GAP = '  ';

/**
 * A table with a line of titles. Where it would be too wide the column with the longest cells gives
 * way: behind a cell that is longer than what is left for it the row goes on in the next line, and of the last
 * column the cell itself does, word by word.
 */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width = TEXT_WIDTH,
): readonly string[] {
  const titles = columns.map(({ title }) => title);
  const widths = widthsOf([titles, ...rows], width);
  return [titles, ...rows].flatMap((cells) => rowLines(cells, columns, widths));
}

function widthsOf(rows: readonly (readonly string[])[], mostWidth: number): readonly number[] {
  const [titles = []] = rows;
  const widths = titles.map((_, i) =>
    rows.reduce((most, row) => Math.max(most, row[i]?.length ?? 0), 0),
  );
  const total = widths.reduce((sum, width) => sum + width + GAP.length, -GAP.length);
  const widest = widths.indexOf(Math.max(...widths));
  const least = titles[widest]?.length ?? 0;
  return widths.map((width, i) =>
    i === widest ? Math.max(least, width - Math.max(0, total - mostWidth)) : width,
  );
}

function rowLines(
  cells: readonly string[],
  columns: readonly Column[],
  widths: readonly number[],
): readonly string[] {
  const lines: string[] = [];
  let line = '';
  let at = 0;
  columns.forEach(({ isNumber = false }, i) => {
    const width = widths[i] ?? 0;
    const cell = cells[i] ?? '';
    line = line.padEnd(at) + (isNumber ? cell.padStart(width) : cell);
    if (cell.length > width) {
      const isLast = i === columns.length - 1;
      lines.push(...(isLast ? lastCell(line, at, width) : [line]));
      line = '';
    }
    at += width + GAP.length;
  });
  return [...lines, line].map((text) => text.trimEnd()).filter((text) => text !== '');
}

function lastCell(line: string, at: number, width: number): readonly string[] {
  const first = line.slice(0, at);
  return wrapped(line.slice(at), { first, next: ' '.repeat(at) }, at + width);
}

/** One line without escape sequences: names come from objects and files that anybody may have written. */
export function plain(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}
