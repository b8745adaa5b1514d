import { describe, expect, test } from 'vitest';
import {
  countsOf,
  type LegacyView,
  suspectsOf,
} from '../../../../../../src/agent/debug/explain/live/legacy.ts';
import { liveCauses } from '../../../../../../src/agent/debug/explain/live/live-causes.ts';
import type {
  LiveAnswer,
  LiveReply,
} from '../../../../../../src/agent/debug/explain/live/live-outcome.ts';
import type { Probed } from '../../../../../../src/agent/debug/explain/live/probe.ts';
import { parseIP } from '../../../../../../src/net/ip.ts';
import { type FakeNodeOptions, fakeNode } from '../../../../../support/fake-node.ts';

const CLIENT = parseIP('10.1.0.2');
const SERVER = parseIP('10.2.0.2');
const SENT = { kind: 'sent', source: CLIENT, destination: SERVER, port: 8080 } as const;
const NO_LEGACY: LegacyView = { tables: [], filter: {} };
const forwards = (text: string): LegacyView => {
  return { tables: ['filter'], filter: { FORWARD: countsOf(text) } };
};
const reply = (kind: LiveReply['kind'], outcome: LiveReply['outcome'] = SENT): LiveReply => {
  return { kind, outcome, steps: [] };
};

interface Case {
  readonly name: string;
  readonly answer: Pick<LiveAnswer, 'outcome' | 'reply'>;
  readonly probed?: Probed['answer'];
  readonly node?: FakeNodeOptions;
  readonly after?: LegacyView;
  readonly want: object;
}

const CASES: readonly Case[] = [
  {
    name: 'the policy of a foreign chain',
    answer: { outcome: { kind: 'dropped', table: 'ip foreign', chain: 'f' } },
    want: { id: 'foreign-rule', cure: 'a rule there that accepts it: nft list chain ip foreign f' },
  },
  {
    name: 'the policy of iptables',
    answer: { outcome: { kind: 'dropped', table: 'ip6 filter', chain: 'FORWARD' } },
    want: { id: 'foreign-rule', cure: expect.stringMatching(/^ip6tables -P FORWARD ACCEPT/) },
  },
  {
    name: 'a rule with a comment',
    answer: { outcome: { kind: 'dropped', table: 'inet fw', chain: 'f', rule: '7' } },
    want: { seen: 'a rule of table inet fw, chain f, drops it: handle 7 ("why not")' },
  },
  {
    name: 'a full connection table',
    answer: { outcome: { kind: 'unknown', stage: 'tracking' } },
    node: {
      sysctls: {
        'net/netfilter/nf_conntrack_count': '99',
        'net/netfilter/nf_conntrack_max': '100',
      },
    },
    want: { id: 'conntrack-full', cure: expect.stringContaining('nf_conntrack_max=200') },
  },
  {
    name: 'a rule of iptables-legacy',
    answer: { outcome: { kind: 'unknown', stage: 'forward' } },
    after: forwards('-P FORWARD ACCEPT -c 9 1\n-A FORWARD -s 10.1.0.0/24 -c 3 180 -j DROP\n'),
    want: {
      id: 'unseen-rule',
      cure: expect.stringContaining('iptables-legacy -D FORWARD -s 10.1.0.0/24 -j DROP'),
    },
  },
  {
    name: 'a table of iptables-legacy that does not tell',
    answer: { outcome: { kind: 'unknown', stage: 'postrouting' } },
    after: { tables: ['nat'], filter: {} },
    want: { seen: expect.stringContaining('tables nat of iptables-legacy') },
  },
  {
    name: 'nothing that anybody could tell',
    answer: { outcome: { kind: 'unknown', stage: 'forward' } },
    want: { id: 'unseen-rule', cure: expect.stringContaining('tc filter show') },
  },
  {
    name: 'a reset',
    answer: { outcome: SENT, reply: reply('refused') },
    want: { id: 'not-listening', seen: '10.2.0.2:8080 answers RST: nothing listens there' },
  },
  {
    name: 'silence, and an endpoint that answers this node',
    answer: { outcome: SENT, reply: null },
    probed: 'answers',
    want: { id: 'endpoint-silent', seen: expect.stringContaining('answers this node, but') },
  },
  {
    name: 'silence',
    answer: { outcome: SENT, reply: null },
    probed: 'silent',
    want: { id: 'endpoint-silent', seen: expect.stringContaining('answers nobody') },
  },
  {
    name: 'silence of an address that nobody has',
    answer: { outcome: SENT, reply: null },
    probed: 'unreachable',
    want: { id: 'endpoint-silent', seen: expect.stringContaining('not reached from this node') },
  },
  {
    name: 'a reply that somebody drops',
    answer: {
      outcome: SENT,
      reply: reply('answered', { kind: 'dropped', table: 'ip x', chain: 'y', rule: '1' }),
    },
    want: { id: 'foreign-rule', direction: 'reply' },
  },
];

test.each(CASES)('$name', ({ answer, probed, node, after = NO_LEGACY, want }) => {
  const asked =
    probed === undefined
      ? {}
      : { probed: { ip: SERVER, port: 8080, protocol: 'tcp', answer: probed } as const };
  const causes = liveCauses(
    { ...answer, ...asked },
    { request: [], reply: [] },
    {
      ...{ node: fakeNode(node), client: CLIENT, places: [SERVER] },
      ...{ legacy: { before: NO_LEGACY, after }, commentOf: () => 'why not' },
    },
  );
  expect(causes[0]).toMatchObject(want);
});

test('who answers has no cause, nor has what our own rules drop', () => {
  const facts = {
    ...{ node: fakeNode(), client: CLIENT, places: [SERVER], commentOf: () => undefined },
    legacy: { before: NO_LEGACY, after: NO_LEGACY },
  };
  const traced = { request: [], reply: [] };
  expect(liveCauses({ outcome: SENT, reply: reply('answered') }, traced, facts)).toEqual([]);
  const own = { kind: 'dropped', table: 'ip weft-proxy', chain: 'x' } as const;
  expect(liveCauses({ outcome: own }, traced, facts)).toEqual([]);
});

describe('counters of iptables-legacy', () => {
  const before = forwards('-P FORWARD DROP -c 5 1\n-A FORWARD -c 7 1 -j OTHERS\n');
  test.each([
    {
      name: 'the policy',
      after: '-P FORWARD DROP -c 6 1\n-A FORWARD -c 8 1 -j OTHERS\n',
      want: ['-P FORWARD DROP'],
    },
    {
      name: 'a chain',
      after: '-P FORWARD DROP -c 5 1\n-A FORWARD -c 8 1 -j OTHERS\n',
      want: ['-A FORWARD -j OTHERS'],
    },
    { name: 'nothing', after: '-P FORWARD DROP -c 5 1\n-A FORWARD -c 7 1 -j OTHERS\n', want: [] },
  ])('$name', ({ after, want }) => {
    expect(suspectsOf('FORWARD', before, forwards(after))).toEqual(want);
  });
});
