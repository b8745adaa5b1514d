import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bundleOf, writeBundle } from '../../../../src/agent/sysdump/bundle.ts';
import { collect } from '../../../../src/agent/sysdump/piece.ts';
import { programText } from '../../../../src/agent/sysdump/program.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const BOUNDS = { mostMs: 100, mostCharacters: 20, mostMsInAll: 1_000, mostCharactersInAll: 150 };
const never = () => new Promise<string>(() => {});

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weft-bundle-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test('a piece that fails, or is long, or absent, does not end the others', async () => {
  const clock = new FakeClock();
  const { files, outcomes } = await collect(
    [
      { name: 'a', read: () => 'one\n' },
      { name: 'b', read: () => Promise.reject(new Error('token=hunter2 is bad')) },
      { name: 'c', read: () => 'x'.repeat(21) },
      { name: 'd', read: () => undefined },
      { name: 'e', read: async () => 'password: hunter2' },
    ],
    clock,
    BOUNDS,
  );
  expect(files.map(({ name, text }) => [name, text])).toEqual([
    ['a', 'one\n'],
    ['c', `${'x'.repeat(20)}\n… cut here: it is longer than a piece may be\n`],
    ['e', 'password: ***'],
  ]);
  expect(outcomes).toMatchObject([
    { name: 'a', outcome: 'read', length: 4 },
    { name: 'b', outcome: 'failed', reason: 'token=*** is bad' },
    { name: 'c', outcome: 'cut', length: 21 },
    { name: 'd', outcome: 'absent' },
    { name: 'e', outcome: 'read' },
  ]);
});

test('what does not answer is given up, and at the end there is no time for more', async () => {
  const clock = new FakeClock();
  const signals: AbortSignal[] = [];
  const silent = (name: string) => ({
    name,
    read: (signal: AbortSignal) => {
      signals.push(signal);
      queueMicrotask(() => clock.advance(name === 'b' ? 1_000 : 100));
      return never();
    },
  });
  const { outcomes } = await collect([silent('a'), silent('b'), silent('c')], clock, BOUNDS);
  expect(outcomes).toMatchObject([
    { name: 'a', outcome: 'failed', reason: 'not read within 100 ms' },
    { name: 'b', outcome: 'failed', reason: 'not read within 100 ms' },
    { name: 'c', outcome: 'failed', reason: 'no time is left for it' },
  ]);
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
});

test('in all there is room for so much', async () => {
  const pieces = Array.from({ length: 12 }, (_, i) => ({
    name: `${i}`,
    read: () => 'x'.repeat(15),
  }));
  const { outcomes } = await collect(pieces, new FakeClock(), BOUNDS);
  expect(outcomes.filter(({ outcome }) => outcome === 'read')).toHaveLength(10);
  expect(outcomes.at(-1)).toMatchObject({ outcome: 'failed', reason: 'no room is left for it' });
});

test('tar reads the bundle, which only its owner can read', async () => {
  const path = join(directory, 'x.tar.gz');
  const collected = { files: [{ name: 'a/b.txt', text: 'grün\n' }], outcomes: [] };
  writeBundle(path, await bundleOf('dump', collected, Date.UTC(2026, 0, 2)));
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const listed = execFileSync('tar', ['-tvzf', path], {
    encoding: 'utf8',
    env: { TZ: 'UTC', PATH: '/usr/bin:/bin' },
  });
  expect(listed).toMatch(/^-rw------- root\/root +3 2026-01-02 00:00 dump\/index.json$/m);
  expect(listed).toMatch(/^-rw------- root\/root +6 2026-01-02 00:00 dump\/a\/b.txt$/m);
  expect(execFileSync('tar', ['-xOzf', path, 'dump/a/b.txt'], { encoding: 'utf8' })).toBe('grün\n');
});

test('tar has nothing to complain about, however long it is', async () => {
  for (let blocks = 10; blocks < 32; blocks++) {
    const files = [{ name: 'a', text: 'x'.repeat(512 * blocks) }];
    const input = await bundleOf('dump', { files, outcomes: [] }, 0);
    expect(spawnSync('tar', ['-tzf', '-'], { input, encoding: 'utf8' })).toMatchObject({
      ...{ status: 0, stderr: '', stdout: 'dump/index.json\ndump/a\n' },
    });
  }
});

test('no file that is there is written over, and no link followed', async () => {
  const target = join(directory, 'target');
  const link = join(directory, 'link');
  symlinkSync(target, link);
  const bytes = Buffer.from('x');
  expect(() => writeBundle(link, bytes)).toThrow(/it is there already/);
  writeBundle(target, bytes);
  expect(() => writeBundle(target, Buffer.from('y'))).toThrow(/it is there already/);
  expect(readFileSync(target, 'utf8')).toBe('x');
  expect(() => writeBundle(join(directory, 'no/such'), bytes)).toThrow(/ENOENT/);
});

test('programs: what they print, what they complain about, none', async () => {
  const { signal } = new AbortController();
  const shell = (script: string) => programText({ name: 'sh', args: ['-c', script] }, signal);
  expect(await shell('echo "$PATH $HOME"')).toBe('/usr/sbin:/sbin:/usr/bin:/bin \n');
  await expect(shell('echo no >&2; exit 3')).rejects.toThrow('sh: no');
  expect(await programText({ name: 'no-such-program', args: [] }, signal)).toBeUndefined();
});
