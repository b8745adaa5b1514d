import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { maglevSlots } from '../../../../../src/proxy/modes/nftables/maglev.ts';

const names = (count: number, first = 0) =>
  Array.from({ length: count }, (_, i) => `10.0.${i >> 8}.${(i & 255) + first}`);

function shares(slots: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const slot of slots) counts.set(slot, (counts.get(slot) ?? 0) + 1);
  return counts;
}

describe('maglevSlots', () => {
  test.each([
    { count: 0, size: 0 },
    { count: 1, size: 251 },
    { count: 10, size: 251 },
    { count: 11, size: 1021 },
    { count: 41, size: 4093 },
    { count: 164, size: 16_381 },
    { count: 5000, size: 16_381 },
  ])('$count endpoints fill $size slots', ({ count, size }) => {
    const slots = maglevSlots(names(count), undefined);
    expect([slots.length, shares(slots).size]).toEqual([size, count]);
  });

  test('is the same in whatever order the endpoints come', () => {
    const endpoints = names(9);
    expect(maglevSlots(endpoints.toReversed(), undefined)).toEqual(
      maglevSlots(endpoints, undefined),
    );
  });

  test('gives all the same share, give or take two slots', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.nat(99), (count, first) => {
        const counts = [...shares(maglevSlots(names(count, first), undefined)).values()];
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(2);
      }),
      { numRuns: 30 },
    );
  });

  test('gives shares by weight', () => {
    const [heavy = '', light = '', lightest = ''] = names(3);
    const counts = shares(maglevSlots([heavy, light, lightest], [6, 3, 1]));
    const portion = (name: string) => (counts.get(name) ?? 0) / 251;
    expect(portion(heavy)).toBeCloseTo(0.6, 2);
    expect(portion(light)).toBeCloseTo(0.3, 2);
    expect(portion(lightest)).toBeCloseTo(0.1, 2);
  });

  test.each([
    { count: 2, size: 1021 },
    { count: 9, size: 4093 },
    { count: 40, size: 16_381 },
  ])('one of the least weight among $count is not forgotten', ({ count, size }) => {
    const weights = Array.from({ length: count }, (_, i) => (i === 0 ? 1 : 100));
    const slots = maglevSlots(names(count), weights);
    expect(slots.length).toBe(size);
    expect(shares(slots).get(names(1)[0] ?? '')).toBeGreaterThanOrEqual(3);
  });

  test('an endpoint that goes moves its own share, and little more', () => {
    const moved: number[] = [];
    // Numbers of endpoints for which one less has a table of the same size.
    for (const count of [2, 3, 5, 7, 10, 12, 20, 40]) {
      for (let first = 0; first < 60; first += 3) {
        const endpoints = names(count, first);
        const gone = endpoints[first % count];
        const before = maglevSlots(endpoints, undefined);
        const rest = endpoints.filter((endpoint) => endpoint !== gone);
        const after = maglevSlots(rest, undefined);
        const others = before.filter((endpoint, i) => endpoint !== gone && endpoint !== after[i]);
        moved.push(others.length / before.length);
      }
    }
    moved.sort((a, b) => a - b);
    const at = (part: number) => moved[Math.floor(moved.length * part)] ?? 1;
    expect(at(0.5)).toBeLessThan(0.04);
    expect(at(0.95)).toBeLessThan(0.07);
    expect(at(0.999)).toBeLessThan(0.2);
  });
});
