import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assignSlots, repeatByWeight } from '../../../../../src/proxy/modes/nftables/slots.ts';

const endpoints = fc.uniqueArray(fc.integer({ min: 0, max: 30 }).map(String), { maxLength: 20 });

/** Slots whose content is not what it was, beyond the shorter list included. */
function changedSlots(before: readonly string[], after: readonly string[]): number {
  const length = Math.max(before.length, after.length);
  return Array.from({ length }, (_, slot) => before[slot] !== after[slot]).filter(Boolean).length;
}

describe('assignSlots', () => {
  test.each([
    { name: 'from nothing', before: '', wanted: 'abc', want: 'abc' },
    { name: 'nothing changes', before: 'cab', wanted: 'abc', want: 'cab' },
    { name: 'one more', before: 'ab', wanted: 'abc', want: 'abc' },
    { name: 'the last fills the hole', before: 'abcd', wanted: 'acd', want: 'adc' },
    { name: 'a newcomer fills the hole', before: 'abc', wanted: 'acd', want: 'adc' },
    { name: 'the last one leaves', before: 'abc', wanted: 'ab', want: 'ab' },
    { name: 'all leave', before: 'abc', wanted: '', want: '' },
    { name: 'holes at both ends', before: 'abcd', wanted: 'bc', want: 'cb' },
    { name: 'duplicates found in the kernel', before: 'aab', wanted: 'ab', want: 'ab' },
    { name: 'more shares of one', before: 'ab', wanted: 'aab', want: 'aba' },
    { name: 'fewer shares of one', before: 'aaba', wanted: 'aab', want: 'aab' },
    { name: 'shares move from one to another', before: 'aab', wanted: 'abb', want: 'abb' },
  ])('$name', ({ before, wanted, want }) => {
    expect(assignSlots([...before], [...wanted]).join('')).toBe(want);
  });

  test('holds exactly the wanted endpoints after any sequence of changes', () => {
    fc.assert(
      fc.property(fc.array(endpoints), (steps) => {
        let slots: readonly string[] = [];
        for (const wanted of steps) {
          slots = assignSlots(slots, wanted);
          expect([...slots].sort()).toEqual([...wanted].sort());
        }
      }),
    );
  });

  test('changes no more slots than endpoints came and twice those that left', () => {
    fc.assert(
      fc.property(endpoints, endpoints, (before, wanted) => {
        const added = wanted.filter((endpoint) => !before.includes(endpoint)).length;
        const removed = before.filter((endpoint) => !wanted.includes(endpoint)).length;
        expect(changedSlots(before, assignSlots(before, wanted))).toBeLessThanOrEqual(
          Math.max(added, removed) + Math.max(0, removed - added),
        );
      }),
    );
  });
});

test.each([
  { weights: undefined, want: 'ab' },
  { weights: [2, 1], want: 'aab' },
])('repeatByWeight $weights', ({ weights, want }) => {
  expect(repeatByWeight(['a', 'b'], weights).join('')).toBe(want);
});
