import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import {
  createFile,
  ifThere,
  namesIn,
  overwriteFile,
  READ_PLAIN,
  readBeginning,
  readIfReadable,
  readIfThere,
  replaceFile,
  replaceFileInPieces,
  writingInto,
} from '../../../src/util/files.ts';

const FILES = new URL('../../../src/util/files.ts', import.meta.url).href;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weft-files-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
});

const inPieces = (path: string, text: string) =>
  replaceFileInPieces(path, async (file) => {
    for (const piece of text) await file.writeFile(piece);
  });

describe.each([
  ['replaceFile', async (path: string, text: string) => replaceFile(path, text)],
  [
    'replaceFile, durable',
    async (path: string, text: string) => {
      replaceFile(path, text, { isDurable: true });
    },
  ],
  ['replaceFileInPieces', inPieces],
  ['createFile', async (path: string, text: string) => void createFile(path, text)],
])('%s', (_, write) => {
  test('leaves the text, for its owner alone, and nothing beside it', async () => {
    const umask = process.umask(0);
    onTestFinished(() => void process.umask(umask));
    await write(join(directory, 'a'), 'text');
    expect(readFileSync(join(directory, 'a'), 'utf8')).toBe('text');
    expect(statSync(join(directory, 'a')).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(['a']);
  });

  test('does not write through a link that waits under the name beside', async () => {
    const victim = join(directory, 'victim');
    writeFileSync(victim, 'untouched');
    symlinkSync(victim, join(directory, 'a.new'));
    await write(join(directory, 'a'), 'text');
    expect(readFileSync(victim, 'utf8')).toBe('untouched');
    expect(readdirSync(directory)).toEqual(['a', 'victim']);
  });

  test('a reader that has the old file open keeps it', async () => {
    writeFileSync(join(directory, 'a'), 'old');
    const reader = await open(join(directory, 'a'));
    onTestFinished(() => reader.close());
    await write(join(directory, 'a'), 'new');
    expect(await reader.readFile('utf8')).toBe('old');
  });
});

test.each([
  ['replaceFile', 'replaceFile(path, text)'],
  ['createFile', 'createFile(path, text)'],
  ['replaceFileInPieces', 'await replaceFileInPieces(path, (file) => file.writeFile(text))'],
])('%s that has no room for all leaves the old file alone', (name, call) => {
  const path = join(directory, name === 'createFile' ? 'b' : 'a');
  writeFileSync(join(directory, 'a'), 'old');
  const script = `
    import { ${name} } from ${JSON.stringify(FILES)};
    const [path, text] = [${JSON.stringify(path)}, 'x'.repeat(10_000)];
    ${call};
  `;
  // No file may be longer: writing fails half-way, as on a full disk.
  const limited = 'ulimit -f 1 && exec "$0" --input-type=module -e "$1"';
  const { status, stderr } = spawnSync('sh', ['-c', limited, process.execPath, script], {
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([1, expect.stringContaining('EFBIG')]);
  expect(readdirSync(directory)).toEqual(['a']);
  expect(readFileSync(join(directory, 'a'), 'utf8')).toBe('old');
});

test.each([
  ['replaceFile', async (path: string, text: string) => replaceFile(path, text)],
  ['replaceFileInPieces', inPieces],
])('%s puts the file in the place of a link', async (_, write) => {
  const victim = join(directory, 'victim');
  writeFileSync(victim, 'untouched');
  symlinkSync(victim, join(directory, 'a'));
  await write(join(directory, 'a'), 'text');
  expect(readFileSync(victim, 'utf8')).toBe('untouched');
  expect(readFileSync(join(directory, 'a'), 'utf8')).toBe('text');
});

test('createFile takes no name twice', () => {
  expect(createFile(join(directory, 'a'), 'first')).toBe(true);
  expect(createFile(join(directory, 'a'), 'second')).toBe(false);
  expect(readFileSync(join(directory, 'a'), 'utf8')).toBe('first');
  expect(readdirSync(directory)).toEqual(['a']);
});

test('what is unfinished can be elsewhere, and the mode another', () => {
  const unfinished = join(directory, 'unfinished');
  mkdirSync(join(directory, 'd'));
  replaceFile(join(directory, 'd', 'a'), 'text', { unfinished, mode: 0o644 });
  expect(readdirSync(join(directory, 'd'))).toEqual(['a']);
  expect(statSync(join(directory, 'd', 'a')).mode & 0o777).toBe(0o644);
  expect(existsSync(unfinished)).toBe(false);
});

test('overwriteFile leaves nothing of a longer text', () => {
  overwriteFile(join(directory, 'a'), '10.0.0.200');
  overwriteFile(join(directory, 'a'), '10.0.0.2');
  expect(readFileSync(join(directory, 'a'), 'utf8')).toBe('10.0.0.2');
});

test('overwriteFile does not follow a link that somebody planted', () => {
  writeFileSync(join(directory, 'theirs'), 'kept');
  symlinkSync(join(directory, 'theirs'), join(directory, 'a'));
  overwriteFile(join(directory, 'a'), 'ours');
  expect([join(directory, 'theirs'), join(directory, 'a')].map(readIfThere)).toEqual([
    'kept',
    'ours',
  ]);
});

test('writingInto makes the directory where it is missing, for its owner alone', () => {
  const made = join(directory, 'x', 'y');
  const calls: number[] = [];
  writingInto(made, () => {
    calls.push(calls.length);
    writeFileSync(join(made, 'a'), '');
  });
  expect(calls).toEqual([0, 1]);
  expect(statSync(made).mode & 0o777).toBe(0o700);
});

test('what is not there is a value, what cannot be done is an error', () => {
  writeFileSync(join(directory, 'a'), 'text');
  expect(readIfThere(join(directory, 'a'))).toBe('text');
  expect(readIfThere(join(directory, 'b'))).toBeUndefined();
  expect(readIfThere(join(directory, 'a', 'below a file'))).toBeUndefined();
  expect(readIfThere(directory)).toBeUndefined();
  expect(namesIn(directory)).toEqual(['a']);
  expect(namesIn(join(directory, 'b'))).toEqual([]);
  symlinkSync('loop', join(directory, 'loop'));
  expect(() => readIfThere(join(directory, 'loop'))).toThrow('ELOOP');
  expect(readIfReadable(join(directory, 'loop'))).toBeUndefined();
  expect(ifThere(() => statSync(join(directory, 'b')))).toBeUndefined();
  expect(() => ifThere(() => chmodSync(join(directory, 'loop'), 0o600))).toThrow('ELOOP');
});

test('READ_PLAIN follows no link', async () => {
  writeFileSync(join(directory, 'a'), 'text');
  symlinkSync('a', join(directory, 'link'));
  await expect(open(join(directory, 'link'), READ_PLAIN)).rejects.toThrow('ELOOP');
  const file = await open(join(directory, 'a'), READ_PLAIN);
  onTestFinished(() => file.close());
  expect(await file.readFile('utf8')).toBe('text');
});

test('readBeginning reads no more than it is told, and waits for nobody', () => {
  const path = join(directory, 'file');
  writeFileSync(path, 'abcdef', { mode: 0o640 });
  expect(readBeginning(path, 4)).toEqual({ text: 'abcd', mode: 0o100640 });
  expect(readBeginning(path, 40).text).toBe('abcdef');
  const link = join(directory, 'link');
  symlinkSync(path, link);
  expect(readBeginning(link, 4).text).toBe('abcd');
  const fifo = join(directory, 'fifo');
  spawnSync('mkfifo', [fifo]);
  for (const none of [fifo, '/dev/zero', directory]) {
    expect(() => readBeginning(none, 4)).toThrow('it is no file');
  }
});
