import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { chooseRunDirectory, mappedUid } from '../../../src/cni/run-directory.ts';

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

test.each([
  { map: '         0          0 4294967295\n', uid: 1000, want: 1000 },
  { map: '         0       1000          1\n', uid: 0, want: 1000 },
  { map: '0 1000 1\n1 100000 65536\n', uid: 33, want: 100032 },
  { map: '0 1000 1\n', uid: 65534, want: 65534 },
])('uid $uid with the map "$map" is $want outside', ({ map, uid, want }) => {
  expect(mappedUid(map, uid)).toBe(want);
});
