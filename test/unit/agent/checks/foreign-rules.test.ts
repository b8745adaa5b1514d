import { expect, test } from 'vitest';
import { FOREIGN_CHECKS, type ForeignFacts } from '../../../../src/agent/checks/foreign-rules.ts';
import type { ForeignDrop } from '../../../../src/agent/foreign/drops.ts';
import { judge, UNKNOWN, UNREADABLE } from './judge.ts';

const DROP: ForeignDrop = {
  family: 4,
  table: 'table ip filter',
  chain: 'FORWARD',
  what: 'the policy drop',
  direction: 'from',
  pod: 'pod default/web',
  isWhole: true,
  cure: 'iptables -P FORWARD ACCEPT',
};
const SOME: ForeignDrop = {
  ...DROP,
  what: 'the rule with handle 7',
  direction: 'to',
  isWhole: false,
  cure: 'delete it',
};
const GOOD: ForeignFacts = { drops: [], masquerades: [] };

test.each<[string, string, Partial<ForeignFacts>, string | undefined]>([
  ['foreign-drops', 'good', {}, 'ok: no rule of others is sure to drop packets of pods'],
  [
    'foreign-drops',
    'all, and the worst first',
    { drops: [SOME, DROP] },
    'failing: table ip filter, chain FORWARD: the policy drop drops all packets that pod default/web sends; ' +
      'table ip filter, chain FORWARD: the rule with handle 7 drops some packets sent to pod default/web | ' +
      'iptables -P FORWARD ACCEPT',
  ],
  [
    'foreign-drops',
    'some',
    { drops: [SOME] },
    'warning: table ip filter, chain FORWARD: the rule with handle 7 drops some packets sent to pod default/web | delete it',
  ],
  ['foreign-drops', 'no pods', { drops: undefined }, undefined],
  ['foreign-drops', 'unreadable', { drops: UNREADABLE }, UNKNOWN],
  [
    'foreign-masquerade',
    'good',
    {},
    'ok: no rule of others masquerades what pods send to each other',
  ],
  [
    'foreign-masquerade',
    'bad',
    { masquerades: ['table ip nat, chain POSTROUTING: x masquerades what pods send', 'another'] },
    'failing: table ip nat, chain POSTROUTING: x masquerades what pods send, and 1 more | ' +
      'delete it, or have its owner leave out the networks of pods',
  ],
  ['foreign-masquerade', 'no fabric', { masquerades: undefined }, undefined],
])('%s: %s', (id, _, facts, want) => {
  expect(judge(FOREIGN_CHECKS, id, { ...GOOD, ...facts })).toBe(want);
});
