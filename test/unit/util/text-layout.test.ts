import { describe, expect, test } from 'vitest';
import { tableLines, wrapped } from '../../../src/util/text-layout.ts';

const word = (length: number) => 'x'.repeat(length);

describe('wrapped', () => {
  const indents = { first: '- ', next: '  ' };

  test.each([
    { name: 'what fits is one line', text: `${word(38)} ${word(39)}`, want: [80] },
    { name: 'what does not goes on in the next', text: `${word(39)} ${word(39)}`, want: [41, 41] },
    { name: 'a long word has its own line', text: `a ${word(90)} b`, want: [3, 92, 3] },
    { name: 'nothing is an indent', text: '', want: [2] },
  ])('$name', ({ text, want }) => {
    expect(wrapped(text, indents).map((line) => line.length)).toEqual(want);
  });
});

describe('tableLines', () => {
  const columns = [{ title: 'NAME' }, { title: 'PODS', isNumber: true }, { title: 'WHAT' }];

  test('columns are as wide as what is in them', () => {
    const rows = [
      ['a', '7', 'in'],
      ['longer', '12345', ''],
    ];
    expect(tableLines(columns, rows)).toEqual([
      'NAME     PODS  WHAT',
      'a           7  in',
      'longer  12345',
    ]);
  });

  test('behind a cell that is too long the row goes on below', () => {
    const rows = [
      ['a', '7', 'in'],
      [word(90), '8', 'out'],
    ];
    const [titles, short, long, rest] = tableLines(columns, rows);
    expect(titles).toHaveLength(80);
    expect(short).toHaveLength(78);
    expect(long).toBe(word(90));
    expect(rest).toBe(`${' '.repeat(73)}8  out`);
  });

  test('a last cell that is too long goes on below itself', () => {
    const rows = [['a', '7', `${word(40)} ${word(30)} in`]];
    expect(tableLines(columns, rows)).toEqual([
      'NAME  PODS  WHAT',
      `a        7  ${word(40)}`,
      `${' '.repeat(12)}${word(30)} in`,
    ]);
  });

  test('a table may be as wide as it takes', () => {
    const rows = [['a', '7', `${word(40)} ${word(40)}`]];
    expect(tableLines(columns, rows, Number.POSITIVE_INFINITY)).toHaveLength(2);
  });

  test('without rows there are titles', () => {
    expect(tableLines(columns, [])).toEqual(['NAME  PODS  WHAT']);
  });
});
