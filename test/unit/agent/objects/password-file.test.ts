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
])('%j', async (text, want) => {
  expect(await readPassword(file(text, 0o600))).toBe(want);
  expect(await readPassword(file(text, 0o400))).toBe(want);
});

test.each([0o644, 0o640, 0o604, 0o620])(
  'mode %o is refused, without a word of the content',
  async (mode) => {
    const refused = expect(readPassword(file('s3cret', mode))).rejects;
    await refused.toThrow(/has mode \d+, which lets others read it: chmod 600 /);
    await expect(readPassword(file('s3cret', mode))).rejects.not.toThrow(/s3cret/);
  },
);

test('an empty, very long, or missing one', async () => {
  await expect(readPassword(file('', 0o600))).rejects.toThrow(
    'its first line is empty or too long',
  );
  const long = file('x'.repeat(5_000), 0o600);
  await expect(readPassword(long)).rejects.toThrow('its first line is empty or too long');
  await expect(readPassword('/none')).rejects.toThrow('read /none: ENOENT');
});
