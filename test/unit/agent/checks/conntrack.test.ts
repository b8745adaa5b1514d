import { expect, test } from 'vitest';
import { CONNTRACK_CHECKS, type ConntrackFacts } from '../../../../src/agent/checks/conntrack.ts';
import { CounterDeltas } from '../../../../src/agent/checks/counter-deltas.ts';
import { judge, UNKNOWN, UNREADABLE } from './judge.ts';

const GOOD: ConntrackFacts = {
  table: { used: 10, most: 100 },
  refused: { count: 0, isSinceLast: true },
  holders: [],
};
const CURE =
  'raise proxy.conntrack.min (sysctl -w net.netfilter.nf_conntrack_max=200 helps at once), ' +
  'and look at who fills it';

test.each<[string, Partial<ConntrackFacts>, string]>([
  ['good', {}, 'ok: 10 of 100 connections are tracked, 10 %'],
  [
    'room, and dropped for another reason',
    { refused: { count: 7, isSinceLast: true } },
    'ok: 10 of 100 connections are tracked, 10 %',
  ],
  ['not loaded', { table: undefined }, 'ok: no connection is tracked yet'],
  [
    'nearly full',
    { table: { used: 80, most: 100 }, refused: { count: 7, isSinceLast: false } },
    `warning: 80 of 100 connections are tracked, 80 % | ${CURE}`,
  ],
  [
    'full',
    {
      table: { used: 100, most: 100 },
      refused: { count: 7, isSinceLast: true },
      holders: [{ from: 'pod default/scanner (10.244.1.7)', percent: 90 }],
    },
    'failing: 100 of 100 connections are tracked, 100 %; 7 packets were dropped since the last look; ' +
      `90 % from pod default/scanner (10.244.1.7) | ${CURE}`,
  ],
  ['unreadable', { table: UNREADABLE }, UNKNOWN],
  ['unreadable counters', { refused: UNREADABLE }, UNKNOWN],
])('conntrack-table: %s', (_, facts, want) => {
  expect(judge(CONNTRACK_CHECKS, 'conntrack-table', { ...GOOD, ...facts })).toBe(want);
});

test('counters grow from one look to the next', () => {
  const deltas = new CounterDeltas();
  expect(deltas.grown('drops', 7)).toEqual({ count: 7, isSinceLast: false });
  expect(deltas.grown('other', 1)).toEqual({ count: 1, isSinceLast: false });
  expect(deltas.grown('drops', 9)).toEqual({ count: 2, isSinceLast: true });
  expect(deltas.grown('drops', 3)).toEqual({ count: 0, isSinceLast: true });
});
