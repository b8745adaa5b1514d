import { expect, test } from 'vitest';
import { judgeRelist } from '../../../../src/kube/api/deletion-guard.ts';

const NOW = 1_000_000;
const HOLD_MS = 60_000;

/** `a-0`, `a-1`, ... of one weight. */
function many(prefix: string, count: number, weight = 1): [string, number][] {
  return Array.from({ length: count }, (_, index) => [`${prefix}-${index}`, weight]);
}

function judge(
  held: [string, number][],
  listed: [string, number][],
  withheldSince: [string, number][] = [],
) {
  return judgeRelist({
    held: new Map(held),
    listed: new Map(listed),
    withheldSince: new Map(withheldSince),
    now: NOW,
    holdMs: HOLD_MS,
  });
}

test.each([
  { name: 'nothing held', held: [], listed: many('a', 5), want: 0 },
  { name: 'nothing lost', held: many('a', 50), listed: many('a', 50), want: 0 },
  { name: 'exactly half lost', held: many('a', 100), listed: many('a', 50), want: 0 },
  { name: 'more than half lost', held: many('a', 100), listed: many('a', 49), want: 51 },
  { name: 'everything lost', held: many('a', 11), listed: [], want: 11 },
  { name: 'everything of a small cluster lost', held: many('a', 10), listed: [], want: 0 },
  { name: 'all moved to other objects', held: many('a', 100), listed: many('b', 100), want: 0 },
  { name: 'more new than lost', held: many('a', 100), listed: many('b', 60), want: 0 },
  { name: 'replaced by fewer than half', held: many('a', 100), listed: many('b', 40), want: 100 },
  { name: 'emptied in place', held: many('a', 4, 5), listed: many('a', 4, 1), want: 4 },
  {
    name: 'one large object among small ones',
    held: [['big', 1000], ...many('a', 20)] as [string, number][],
    listed: many('a', 20),
    want: 1,
  },
  {
    name: 'objects without weight go with the others',
    held: [...many('a', 20), ...many('empty', 5, 0)],
    listed: [],
    want: 20,
  },
])('$name: $want withheld', ({ held, listed, want }) => {
  const verdict = judge(held as [string, number][], listed as [string, number][]);
  expect(verdict.withheldSince.size).toBe(want);
});

test.each([
  { unguardedLoss: 1, held: 3, listed: 1, want: 2 },
  { unguardedLoss: 1, held: 3, listed: 2, want: 0 },
  { unguardedLoss: 1, held: 4, listed: 2, want: 2 },
  { unguardedLoss: 1, held: 5, listed: 3, want: 0 },
  { unguardedLoss: 1, held: 1, listed: 0, want: 0 },
  { unguardedLoss: 2, held: 3, listed: 1, want: 0 },
])('kinds may spare less: $want withheld of $held when $listed are listed', (row) => {
  const { unguardedLoss } = row;
  const [held, listed] = [new Map(many('a', row.held)), new Map(many('a', row.listed))];
  const facts = { held, listed, withheldSince: new Map(), now: NOW, holdMs: HOLD_MS };
  expect(judgeRelist({ ...facts, unguardedLoss }).withheldSince.size).toBe(row.want);
});

test.each([
  { held: 4, listed: 2, isReplaced: false, want: 2 },
  { held: 1, listed: 0, isReplaced: false, want: 1 },
  { held: 4, listed: 3, isReplaced: false, want: 0 },
  { held: 4, listed: 2, isReplaced: true, want: 2 },
])('nothing stands for another: $want of $held withheld when $listed are listed', (row) => {
  const others = row.isReplaced ? many('b', row.held) : [];
  const verdict = judgeRelist({
    held: new Map(many('a', row.held)),
    listed: new Map([...many('a', row.listed), ...others]),
    withheldSince: new Map(),
    now: NOW,
    holdMs: HOLD_MS,
    isEachGuarded: true,
  });
  expect(verdict.withheldSince.size).toBe(row.want);
});

test('each loss counts once lists have reported it long enough', () => {
  const held = many('a', 20);
  const since: [string, number][] = [
    ['a-0', NOW - HOLD_MS],
    ['a-1', NOW - HOLD_MS + 1],
  ];
  const { withheldSince } = judge(held, [], since);
  expect(withheldSince.has('a-0')).toBe(false);
  expect(withheldSince.get('a-1')).toBe(NOW - HOLD_MS + 1);
  expect(withheldSince.get('a-2')).toBe(NOW);
});

test('a list that is whole again withholds nothing', () => {
  const held = many('a', 20);
  const since: [string, number][] = held.map(([key]) => [key, NOW - 10]);
  expect(judge(held, many('a', 15), since).withheldSince.size).toBe(0);
});

test('tells how much there was and is', () => {
  expect(judge(many('a', 20, 3), many('a', 2, 3))).toMatchObject({
    heldWeight: 60,
    listedWeight: 6,
  });
});
