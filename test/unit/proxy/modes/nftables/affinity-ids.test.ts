import { describe, expect, test } from 'vitest';
import { AffinityIds } from '../../../../../src/proxy/modes/nftables/affinity-ids.ts';

describe('AffinityIds', () => {
  test('an owner keeps its number, others get others', () => {
    const ids = new AffinityIds([]);
    const [a, b] = [ids.idOf('a', []), ids.idOf('b', [])];
    expect([ids.idOf('a', []), a === b]).toEqual([a, false]);
  });

  test('takes the number that the kernel has for it', () => {
    expect(new AffinityIds([7, 9]).idOf('a', [9])).toBe(9);
  });

  test('a number two owners are found with is the first one’s', () => {
    const ids = new AffinityIds([7]);
    expect(ids.idOf('a', [7])).toBe(7);
    expect(ids.idOf('b', [7])).not.toBe(7);
  });

  test('a newcomer does not take what another may still be found with', () => {
    const ids = new AffinityIds([7]);
    expect(ids.idOf('new', [])).not.toBe(7);
    expect(ids.idOf('a', [7])).toBe(7);
  });

  test('a number that was given back is not the next one given', () => {
    const ids = new AffinityIds([]);
    const first = ids.idOf('a', []);
    ids.release('a');
    expect(ids.idOf('b', [])).not.toBe(first);
  });

  test('starts again behind the last number of all', () => {
    const ids = new AffinityIds([0xffff_ffff]);
    expect([ids.idOf('a', [0xffff_ffff]), ids.idOf('b', [])]).toEqual([0xffff_ffff, 1]);
  });
});
