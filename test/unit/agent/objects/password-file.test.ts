import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readPassword } from '../../../../src/agent/objects/password-file.ts';

function file(text: string, mode: number): string {
  const directory = mkdtempSync(join(tmpdir(), 'weft-password-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'password');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

test.each([
  ['s3cret', 's3cret'],
  [' s3cret \n', ' s3cret '],
  ['s3cret\r\nmore\n', 's3cret'],
])('%j', (text, want) => {
  expect(readPassword(file(text, 0o600))).toBe(want);
  expect(readPassword(file(text, 0o400))).toBe(want);
});

test.each([0o644, 0o640, 0o604, 0o620])(
  'mode %o is refused, without a word of the content',
  (mode) => {
    const read = () => readPassword(file('s3cret', mode));
    expect(read).toThrow(/has mode \d+, which lets others read it: chmod 600 /);
    expect(read).not.toThrow(/s3cret/);
  },
);

test('an empty, very long, or missing one', () => {
  const why = 'its first line is empty or too long';
  expect(() => readPassword(file('', 0o600))).toThrow(why);
  const long = file('x'.repeat(5_000), 0o600);
  expect(() => readPassword(long)).toThrow(why);
  expect(() => readPassword('/none')).toThrow('read /none: ENOENT');
});
