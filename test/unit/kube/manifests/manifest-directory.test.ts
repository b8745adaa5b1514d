import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readDirectory } from '../../../../src/kube/manifests/manifest-directory.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weft-directory-'));
});

afterEach(() => rmSync(directory, { recursive: true }));

function publish(version: string): void {
  mkdirSync(join(directory, version));
  for (const name of ['1.yaml', '2.yaml']) writeFileSync(join(directory, version, name), version);
  symlinkSync(version, join(directory, '..tmp'));
  renameSync(join(directory, '..tmp'), join(directory, '..data'));
}

const textsOf = ({ files }: Awaited<ReturnType<typeof readDirectory>>) =>
  [...files].map(([name, { text }]) => [name, text]);

test('a link swap between two files is never seen in the middle', async () => {
  publish('..1');
  for (const name of ['1.yaml', '2.yaml']) symlinkSync(`..data/${name}`, join(directory, name));
  let isSwapped = false;
  const reading = await readDirectory(directory, (name) => {
    if (name === '2.yaml' && !isSwapped) publish('..2');
    isSwapped ||= name === '2.yaml';
    return true;
  });
  expect(textsOf(reading)).toEqual([
    ['1.yaml', '..2'],
    ['2.yaml', '..2'],
  ]);
});

test('a directory that never rests is read all the same', async () => {
  let count = 0;
  writeFileSync(join(directory, '1.yaml'), '0');
  const reading = await readDirectory(directory, (name) => {
    writeFileSync(join(directory, name), `${'x'.repeat(++count)}`);
    return true;
  });
  expect(textsOf(reading)).toEqual([['1.yaml', 'xxx']]);
});

test('only the files asked for are read, in the order of their names', async () => {
  for (const name of ['b.yaml', 'a.json', 'c.yml', 'd.txt'])
    writeFileSync(join(directory, name), name);
  const reading = await readDirectory(directory, (name) => name !== 'b.yaml');
  expect([...reading.stamps.keys()]).toEqual(['a.json', 'b.yaml', 'c.yml']);
  expect(textsOf(reading)).toEqual([
    ['a.json', 'a.json'],
    ['c.yml', 'c.yml'],
  ]);
});

test('what cannot be read is said to be there, whatever it is', async () => {
  symlinkSync('nowhere', join(directory, 'dangling.yaml'));
  symlinkSync('/dev/zero', join(directory, 'device.yaml'));
  symlinkSync('loop.yaml', join(directory, 'loop.yaml'));
  execFileSync('mkfifo', [join(directory, 'fifo.yaml')]);
  mkdirSync(join(directory, 'directory.yaml'));
  writeFileSync(join(directory, 'good.yaml'), 'good');
  const { files } = await readDirectory(directory, () => true);
  const texts = [...files].map(([name, { text }]) => [
    name,
    text instanceof Error ? text.message.replace(/:.*/, '') : text,
  ]);
  expect(texts).toEqual([
    ['dangling.yaml', 'ENOENT'],
    ['device.yaml', 'is not a regular file'],
    ['fifo.yaml', 'is not a regular file'],
    ['good.yaml', 'good'],
    ['loop.yaml', 'ELOOP'],
  ]);
});
