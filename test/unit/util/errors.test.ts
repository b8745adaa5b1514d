import { describe, expect, test } from 'vitest';
import { ConfigError, errorCode, joinErrors, toError } from '../../../src/util/errors.ts';

describe('joinErrors', () => {
  test.each([
    { name: 'nothing for none', errors: [], want: undefined },
    { name: 'the error itself for one', errors: [new Error('a')], want: 'a' },
    {
      name: 'a list for several, strings among them',
      errors: [new Error('a'), 'b'],
      want: 'undo: a; b',
    },
  ])('$name', ({ errors, want }) => {
    expect(joinErrors(errors, 'undo')?.message).toBe(want);
  });
});

describe('errorCode', () => {
  test.each([
    { thrown: new ConfigError('ipam', 'wrong'), want: 'CONFIG' },
    { thrown: Object.assign(new Error('x'), { code: 'ENOENT' }), want: 'ENOENT' },
    { thrown: Object.assign(new Error('x'), { code: 5 }), want: undefined },
    { thrown: 'text', want: undefined },
    { thrown: null, want: undefined },
  ])('$want', ({ thrown, want }) => {
    expect(errorCode(thrown)).toBe(want);
  });
});

test('toError keeps errors and wraps everything else', () => {
  const error = new Error('x');
  expect(toError(error)).toBe(error);
  expect(toError(7).message).toBe('7');
});
