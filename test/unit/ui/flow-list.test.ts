import { expect, test } from 'vitest';
import type { UiFlow } from '../../../src/agent/page/snapshot.ts';
import { flowWords, lingering, NO_FLOWS, withFlows } from '../../../src/ui/flow-list.ts';

const flow = (key: string, kind: UiFlow['kind']): UiFlow => ({
  ...{ key, kind, at: '', from: 'shop/cart', to: 'shop/web', protocol: 'TCP' },
  verdict: kind === 'denied' ? 'denied' : 'established',
});
const told = (...flows: readonly UiFlow[]) => ({ flows, missed: 0 });
const kinds = (items: readonly UiFlow[]) => items.map(({ key, kind }) => `${key} ${kind}`);

test('what was told last comes first, and one line is one connection', () => {
  const first = withFlows(NO_FLOWS, told(flow('a', 'live'), flow('b', 'live')), 0);
  expect(kinds(first.items)).toEqual(['b live', 'a live']);
  const next = withFlows(first, told(flow('c', 'new'), flow('a', 'end')), 1_000);
  expect(kinds(next.items)).toEqual(['a end', 'c new', 'b live']);
});

test('what is over goes after a while, what is there stays', () => {
  const list = withFlows(
    NO_FLOWS,
    told(flow('a', 'end'), flow('b', 'denied'), flow('c', 'new')),
    0,
  );
  expect(kinds(lingering(list.items, 14_000))).toEqual(['c new', 'b denied', 'a end']);
  expect(kinds(lingering(list.items, 15_000))).toEqual(['c new']);
  expect(kinds(withFlows(list, told(), 15_000).items)).toEqual(['c new']);
});

test('it does not grow, and counts what was missed', () => {
  let list = NO_FLOWS;
  for (let i = 0; i < 50; i++) {
    const flows = Array.from({ length: 50 }, (_, j) => flow(`${i} ${j}`, 'new'));
    list = withFlows(list, { flows, missed: 2 }, i);
  }
  expect([list.items.length, list.missed]).toEqual([200, 100]);
});

test.each([
  ['live', 'TCP established'],
  ['new', 'TCP began'],
  ['end', 'TCP ended, established'],
  ['denied', 'TCP denied'],
] as const)('%s: %s', (kind, words) => {
  expect(flowWords(flow('a', kind))).toBe(words);
});
