import { expect, test } from 'vitest';
import { fileFailure } from '../../../src/util/errno.ts';

test.each([
  { code: 'ENOENT', want: 'ENOENT (no such file or directory)' },
  { code: 'EACCES', want: 'EACCES (permission denied: run this as root)' },
  { code: 'EIO', want: 'EIO' },
])('$code in words', ({ code, want }) => {
  expect(fileFailure(Object.assign(new Error('read'), { code }))).toBe(want);
});

test('what is no errno is its message', () => {
  expect(fileFailure(new Error('damaged'))).toBe('damaged');
});
