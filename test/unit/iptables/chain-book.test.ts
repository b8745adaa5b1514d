import { expect, test } from 'vitest';
import { ChainBook } from '../../../src/iptables/chain-book.ts';
import type { GuestRule, RuleChain } from '../../../src/iptables/model.ts';

const chain = (name: string, ...rules: string[]): RuleChain => ({ table: 'nat', name, rules });
const jump: GuestRule = { table: 'nat', chain: 'OUTPUT', rule: '-j A', position: 'first' };
const nothing = { digests: new Map(), sizes: new Map(), guests: new Set<string>() };

test('what was written does not differ, however it is worded', async () => {
  const book = new ChainBook();
  expect(await book.differing([chain('A', '-j RETURN')])).toHaveLength(1);
  book.note({ chains: [chain('A', '-m comment --comment "why" -j RETURN'), chain('B')] });
  expect(await book.differing([chain('A', '-j RETURN'), chain('B')])).toEqual([]);
  expect(await book.differing([chain('B', '-j A')])).toEqual([chain('B', '-j A')]);
  expect(Object.fromEntries(book.sizes)).toEqual({ 'nat A': 1, 'nat B': 0 });
});

test('what is gone is drift; what others have is not', () => {
  const book = new ChainBook();
  book.note({ chains: [chain('A'), chain('B')], guests: [jump] });
  book.note({ removedChains: [chain('B')] });
  const there = { digests: new Map([['nat C', 'x']]), rulesOf: () => undefined };
  expect(book.driftIn({ ...nothing, ...there })).toEqual(['nat A', 'nat OUTPUT -j A']);
});

test('what is read replaces what was known', async () => {
  const book = new ChainBook();
  book.note({ chains: [chain('A')], guests: [jump] });
  book.begin(nothing);
  expect([book.isEmpty, await book.differing([chain('A')])]).toEqual([true, [chain('A')]]);
});
