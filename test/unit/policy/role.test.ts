import { expect, test } from 'vitest';
import { covers, NO_POLICY, outcomeOf, RolePainter } from '../../../src/policy/role.ts';

const DENIED = outcomeOf('ingress', false, { tier: 'NetworkPolicy', policies: ['x/p'] });
const MOST_MS = 200;

function roleOf(ranges: readonly (readonly [number, number])[]) {
  const painter = new RolePainter();
  const wanted = ranges.map(([first, last]) => ({ first, last }));
  painter.paint(0, wanted, NO_POLICY);
  return painter.finish(DENIED);
}

const odd = Array.from({ length: 25_000 }, (_, i) => [1 + 2 * i, 1 + 2 * i] as const);

test.each([
  [[[1, 10]], [[1, 10]], true],
  [[[1, 10]], [[2, 9]], true],
  [[[1, 10]], [[2, 11]], false],
  [[[1, 10]], [[0, 9]], false],
  [
    [
      [1, 4],
      [6, 9],
    ],
    [
      [2, 3],
      [6, 6],
      [8, 9],
    ],
    true,
  ],
  [
    [
      [1, 4],
      [6, 9],
    ],
    [[2, 7]],
    false,
  ],
  [[], [[65_535, 65_535]], false],
  [[[65_535, 65_535]], [[65_535, 65_535]], true],
] as const)('%j covers %j: %s', (ranges, others, isCovered) => {
  expect(covers(roleOf(ranges), roleOf(others))).toBe(isCovered);
});

test('25,000 ports of the one and of the other are compared at once', () => {
  const [one, other] = [roleOf(odd), roleOf(odd)];
  const began = performance.now();
  expect(covers(one, other)).toBe(true);
  expect(performance.now() - began).toBeLessThan(MOST_MS);
});
