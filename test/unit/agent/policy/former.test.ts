import { expect, test } from 'vitest';
import { formerPolicies } from '../../../../src/agent/policy/former.ts';

test('rules that nobody keeps up to date are a problem with its cure', () => {
  expect(formerPolicies(() => false)).toEqual([]);
  expect(formerPolicies(() => true)).toEqual([
    expect.stringMatching(/nobody keeps it up to date: .*weft cleanup --component policy$/),
  ]);
});
