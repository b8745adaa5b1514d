import { expect, test } from 'vitest';
import { compareVersions, judgeEvent } from '../../../../src/kube/api/resource-version.ts';

test.each([
  { a: '9', b: '9', want: 0 },
  { a: '9', b: '10', want: -1 },
  { a: '10', b: '9', want: 1 },
  { a: '123456789012345678901', b: '123456789012345678900', want: 1 },
  { a: 'opaque', b: 'opaque', want: 0 },
  { a: 'opaque', b: '9', want: undefined },
  { a: '9', b: '09', want: undefined },
  { a: '0', b: '9', want: undefined },
])('$a against $b: $want', ({ a, b, want }) => {
  const order = compareVersions(a, b);
  expect(order === undefined ? undefined : Math.sign(order)).toBe(want);
});

test.each([
  { name: 'the next event', version: '12', knownVersion: '10', position: '11', want: 'apply' },
  { name: 'a new object', version: '12', knownVersion: undefined, position: '11', want: 'apply' },
  { name: 'a repetition', version: '10', knownVersion: '10', position: '11', want: 'apply' },
  { name: 'an older state', version: '9', knownVersion: '10', position: '11', want: 'ignore' },
  { name: 'news that come late', version: '10', knownVersion: '9', position: '11', want: 'relist' },
  {
    name: 'an old state of an unknown object',
    version: '10',
    knownVersion: undefined,
    position: '11',
    want: 'relist',
  },
  { name: 'opaque versions', version: 'b', knownVersion: 'c', position: 'd', want: 'apply' },
])('$name: $want', ({ version, knownVersion, position, want }) => {
  expect(judgeEvent({ version, knownVersion, position })).toBe(want);
});
