import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { commandPage } from '../../../src/cli/man-page.ts';
import { manPages } from '../../../src/cli/man-pages.ts';

const EDITION = { version: '1.2.3', date: '2020-01-02' };
const directory = mkdtempSync(join(tmpdir(), 'wt-man-'));
afterAll(() => rmSync(directory, { recursive: true }));

test('there is a page for each command, and mandoc has nothing to say about any', async () => {
  const pages = await manPages(EDITION);
  expect(pages.map(({ file }) => file)).toEqual([
    'weft.8',
    ...COMMANDS.map(({ name }) => `weft-${name.replaceAll(' ', '-')}.8`),
  ]);
  for (const { file, text } of pages) writeFileSync(join(directory, file), text);
  const files = pages.map(({ file }) => file);
  const lint = ['-T', 'lint', '-W', 'warning', ...files];
  const { status, stdout } = spawnSync('mandoc', lint, { cwd: directory, encoding: 'utf8' });
  expect([status, stdout]).toEqual([0, '']);
});

test('a page has what its command declares, and no request of roff by accident', () => {
  const { text } = commandPage(
    {
      ...{ name: 'policy pod', describe: 'Tell what', usage: 'weft policy pod NAME [flags]' },
      flags: [
        { name: 'output', describe: "text or json, 'so'", isSwitch: false, words: [] },
        { name: 'v', describe: '.SH no heading', isSwitch: true, words: [] },
      ],
      hiddenFlags: [],
      epilogue: 'A \\ word.\nIt goes on.\n\nExamples:\n  weft policy pod "x"\n\nEnd.',
    },
    ['policy pod', 'policy list'],
    EDITION,
  );
  expect(text.split('\n')).toEqual([
    '.TH WEFT-POLICY-POD 8 2020-01-02 "weft 1.2.3" "weft"',
    ...['.nh', '.ad l', '.SH NAME', 'weft\\-policy\\-pod \\- tell what', '.SH SYNOPSIS'],
    ...['.B weft policy pod NAME [flags]', '.SH DESCRIPTION', 'A \\e word.', 'It goes on.', '.PP'],
    ...['Examples:', '.nf', '  weft policy pod \\(dqx\\(dq', '.fi', '.PP', 'End.', '.SH OPTIONS'],
    ...['.TP', '\\fB\\-\\-output\\fR \\fIVALUE\\fR', "text or json, 'so'"],
    ...['.TP', '\\fB\\-v\\fR', '\\&.SH no heading'],
    ...['.SH SEE ALSO', '.BR weft (8),', '.BR weft\\-policy\\-list (8)', ''],
  ]);
});
