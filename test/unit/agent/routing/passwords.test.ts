import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Passwords } from '../../../../src/agent/routing/passwords.ts';
import { peer } from '../../../support/bird-lab.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wt-bgp-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function read(text: string) {
  const passwordFile = join(directory, 'password');
  writeFileSync(passwordFile, text);
  const passwords = new Passwords();
  const found = passwords.read([peer('rack', '192.0.2.1', 1, { passwordFile })]);
  return { found: found.get('rack'), problems: passwords.problems().join('\n') };
}

test.each([
  ['secret', 'secret'],
  ['secret\n', 'secret'],
  ["with ' and \\ and {}; blanks", "with ' and \\ and {}; blanks"],
])('%j', (text, password) => {
  expect(read(text)).toEqual({ found: password, problems: '' });
});

test.each([
  ['', 'it is empty'],
  ['a"; }', 'quotation mark'],
  ['a\nb', 'control character'],
  ['x'.repeat(81), 'longer than 80 bytes'],
])('%j is not taken, and not told', (text, problem) => {
  const { found, problems } = read(text);
  expect(found).toBeUndefined();
  expect(problems).toContain(problem);
  if (text.length > 1) expect(problems).not.toContain(text);
});

test('a file that is missing is named', () => {
  const passwords = new Passwords();
  passwords.read([peer('rack', '192.0.2.1', 1, { passwordFile: '/nowhere/password' })]);
  expect(passwords.problems()).toEqual([
    'BGP neighbour rack: password in /nowhere/password: ENOENT',
  ]);
});
