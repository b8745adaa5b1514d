/** The deliberate differences between the modes, as data; packets prove them in test/netns and test/uml. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  DIFFERENCES,
  differenceOf,
  differencesTable,
  MODES,
  wantIn,
} from '../../support/flows/differences.ts';
import { wantText } from '../../support/flows/flow.ts';
import { nameOf, rowsOf, SETTINGS } from '../../support/flows/rows.ts';

const README = new URL('../../../src/proxy/README.md', import.meta.url);
const rows = SETTINGS.flatMap(rowsOf);

const TABLE = /^\| mode +\| flows +\|.*$(\n\|.*$)*/m;

/** The formatter pads the columns. */
function plain(table: string | undefined): string | undefined {
  return table
    ?.replace(/ +/g, ' ')
    .replace(/-{3,}/g, '---')
    .replaceAll('| --- ', '|---')
    .replaceAll('--- |', '---|');
}

test('the README has this table', () => {
  const text = readFileSync(README, 'utf8');
  if (process.env['UPDATE_GOLDEN'] === '1') {
    writeFileSync(README, text.replace(TABLE, differencesTable()));
  }
  expect(plain(TABLE.exec(readFileSync(README, 'utf8'))?.[0])).toBe(plain(differencesTable()));
});

describe.each(MODES)('%s', (mode) => {
  test('every entry names flows that differ', () => {
    const used = DIFFERENCES[mode].flatMap((entry) =>
      entry.flows.map((pattern) => {
        const single = { ...entry, flows: [pattern] };
        const meant = rows.filter((row) => differenceOf([single], row) !== undefined);
        const differing = meant.filter(
          ({ flow: { want } }) => wantText(entry.change.of(want)) !== wantText(want),
        );
        return { pattern, differs: differing.length > 0 };
      }),
    );
    expect(used.filter(({ differs }) => !differs)).toEqual([]);
  });

  test('no flow has two', () => {
    const twice = rows.filter(
      (row) => DIFFERENCES[mode].filter((entry) => differenceOf([entry], row)).length > 1,
    );
    expect(twice.map(nameOf)).toEqual([]);
  });
});

test('what is not listed is as in the table', () => {
  expect(rows.filter((row) => wantIn('nftables', row) !== row.flow.want)).toEqual([]);
});
