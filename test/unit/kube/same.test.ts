import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isSameValue } from '../../../src/kube/same.ts';

test('agrees with the JSON text, whatever the order of keys', () => {
  const shuffled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shuffled);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .toReversed()
        .map(([key, inner]) => [key, shuffled(inner)]),
    );
  };
  const text = (value: unknown) => JSON.stringify(value);
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 3 }), fc.jsonValue({ maxDepth: 3 }), (first, second) => {
      const [a, b] = [JSON.parse(text(first)), JSON.parse(text(second))];
      expect(isSameValue(a, shuffled(a))).toBe(true);
      expect(isSameValue(a, b)).toBe(text(shuffled(shuffled(a))) === text(shuffled(shuffled(b))));
    }),
  );
});

test.each([
  { a: { x: undefined }, b: {}, want: true },
  { a: {}, b: { x: undefined }, want: true },
  { a: { x: 1 }, b: {}, want: false },
  { a: {}, b: { x: 1 }, want: false },
  { a: [1], b: [1, 2], want: false },
  { a: [], b: {}, want: false },
  { a: null, b: {}, want: false },
])('$a and $b: $want', ({ a, b, want }) => {
  expect(isSameValue(a, b)).toBe(want);
});
