import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { chooseRunDirectory, mappedUid, ownDirectoryIn } from '../../../src/cni/run-directory.ts';

const defaultDirectory = join(tmpdir(), 'nobody-made-this', 'weft');

describe('the run directory', () => {
  test.each([
    { env: { WEFT_RUN_DIR: '/given', XDG_RUNTIME_DIR: '/run/user/1' }, want: '/given' },
    { env: { WEFT_RUN_DIR: '', XDG_RUNTIME_DIR: '/run/user/1' }, want: defaultDirectory },
    { env: {}, want: defaultDirectory },
  ])('with $env of somebody who can make the default one', ({ env, want }) => {
    expect(chooseRunDirectory({ env, uid: 0, defaultDirectory })).toBe(want);
  });
});

test('a name that somebody else has taken keeps nobody from a directory', () => {
  const shared = mkdtempSync(join(tmpdir(), 'weft-shared-'));
  const uid = process.getuid?.() ?? 0;
  const chosen = (by: number) => ownDirectoryIn(shared, 'weft-7', by).slice(shared.length + 1);
  try {
    expect(chosen(uid)).toBe('weft-7');
    mkdirSync(join(shared, 'weft-7'));
    expect([chosen(uid), chosen(uid + 1)]).toEqual(['weft-7', 'weft-7-1']);
    writeFileSync(join(shared, 'weft-7-1'), '');
    symlinkSync('weft-7', join(shared, 'weft-7-2'));
    expect(chosen(uid + 1)).toBe('weft-7-3');
    // One's own comes first, also when a name before it is free again.
    mkdirSync(join(shared, 'weft-7-3'));
    rmSync(join(shared, 'weft-7'), { recursive: true });
    expect([chosen(uid), chosen(uid + 1)]).toEqual(['weft-7-3', 'weft-7']);
  } finally {
    rmSync(shared, { recursive: true });
  }
});

test.each([
  { map: '         0          0 4294967295\n', uid: 1000, want: 1000 },
  { map: '         0       1000          1\n', uid: 0, want: 1000 },
  { map: '0 1000 1\n1 100000 65536\n', uid: 33, want: 100032 },
  { map: '0 1000 1\n', uid: 65534, want: 65534 },
])('uid $uid with the map "$map" is $want outside', ({ map, uid, want }) => {
  expect(mappedUid(map, uid)).toBe(want);
});
