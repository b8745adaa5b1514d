/** Text for terminals, which are at least this wide. */
export const TEXT_WIDTH = 80;

/** Fills lines with words; a word that is longer than a line has one of its own. */
export function wrapped(
  text: string,
  indents: { readonly first: string; readonly next: string },
): readonly string[] {
  const lines: string[] = [];
  let line = indents.first;
  let isEmpty = true;
  for (const word of text.split(' ')) {
    if (!isEmpty && line.length + 1 + word.length > TEXT_WIDTH) {
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
 * way: behind a cell that is longer than what is left for it the row goes on in the next line.
 */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): readonly string[] {
  const titles = columns.map(({ title }) => title);
  const widths = widthsOf([titles, ...rows]);
  return [titles, ...rows].flatMap((cells) => rowLines(cells, columns, widths));
}

function widthsOf(rows: readonly (readonly string[])[]): readonly number[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const total = widths.reduce((sum, width) => sum + width + GAP.length, -GAP.length);
  const widest = Math.max(...widths);
  const least = rows[0]?.[widths.indexOf(widest)]?.length ?? 0;
  return widths.map((width, i) =>
    i === widths.indexOf(widest) ? Math.max(least, width - Math.max(0, total - TEXT_WIDTH)) : width,
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
    at += width + GAP.length;
    if (cell.length <= width) return;
    lines.push(line);
    line = '';
  });
  return [...lines, line].map((text) => text.trimEnd()).filter((text) => text !== '');
}
