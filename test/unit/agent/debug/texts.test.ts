import { describe, expect, test } from 'vitest';
import { differenceText, hasDifferences } from '../../../../src/agent/debug/difference-text.ts';
import type { LiveAnswer } from '../../../../src/agent/debug/explain/live/live-outcome.ts';
import { liveText } from '../../../../src/agent/debug/explain/live/live-text.ts';
import type { ExplainAnswer } from '../../../../src/agent/debug/explain.ts';
import { explainText } from '../../../../src/agent/debug/explain-text.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import type { Difference } from '../../../../src/proxy/modes/nftables/difference.ts';
import { decide } from '../../../../src/proxy/verdict/decide.ts';
import type { Explanation } from '../../../../src/proxy/verdict/explanation.ts';
import { sourceOf } from '../../../support/flows/flow.ts';
import { worldOf } from '../../../support/flows/model.ts';
import { IPV4, IPV6, type Net } from '../../../support/flows/net.ts';
import { flowTable } from '../../../support/flows/table.ts';

function explanationOf(net: Net, from: 'client' | 'outside' | 'stranger', to: string, port = 80) {
  const world = worldOf(flowTable(net), 'base', net);
  const source = parseIP(sourceOf(from, net));
  return decide({ source, destination: parseIP(to), protocol: 'tcp', port }, world);
}

/** The model alone, without a node. */
function answerOf(explanation: Explanation, change: Partial<ExplainAnswer> = {}): ExplainAnswer {
  return { explanation, ways: [], causes: [], pending: 0, outcome: 'allowed', ...change };
}

describe('explain', () => {
  test.each([
    { name: 'clusterip', explanation: explanationOf(IPV4, 'client', IPV4.vip(2)) },
    { name: 'clusterip-ipv6', explanation: explanationOf(IPV6, 'client', IPV6.vip(2)) },
    { name: 'short-circuit', explanation: explanationOf(IPV4, 'client', IPV4.lb(20)) },
    { name: 'local-only', explanation: explanationOf(IPV4, 'outside', IPV4.lb(20)) },
    { name: 'none-here', explanation: explanationOf(IPV4, 'outside', IPV4.lb(42)) },
    { name: 'no-endpoints', explanation: explanationOf(IPV4, 'client', IPV4.vip(5)) },
    { name: 'source-range', explanation: explanationOf(IPV4, 'stranger', IPV4.lb(1)) },
    { name: 'other-port', explanation: explanationOf(IPV4, 'client', IPV4.vip(1), 3000) },
    { name: 'unallocated', explanation: explanationOf(IPV4, 'client', IPV4.vip(250)) },
    { name: 'no-service', explanation: explanationOf(IPV4, 'client', IPV4.outside) },
  ])('$name', async ({ name, explanation }) => {
    const text = explainText(answerOf(explanation));
    await expect(text).toMatchFileSnapshot(`explain/${name}.txt`);
  });

  test('what is on its way is mentioned', () => {
    const explanation = explanationOf(IPV4, 'client', IPV4.vip(1));
    expect(explainText(answerOf(explanation, { pending: 3 }))).toContain('changes of 3 Services');
    const doubts = ['no Node is called "x"'];
    expect(explainText(answerOf(explanation, { doubts }))).toContain('Doubtful: no Node');
  });
});

describe('live', () => {
  const answer: LiveAnswer = {
    outcome: {
      kind: 'sent',
      source: parseIP('10.1.0.1'),
      destination: parseIP('10.1.0.3'),
      port: 8080,
    },
    isNewConnection: true,
    agreesWithModel: true,
    steps: ['ip weft-proxy services -> goto n1'],
    causes: [],
    unseen: [],
  };
  test.each([
    { name: 'as the model says', live: answer, text: 'That is what the model says.' },
    {
      name: 'not as the model says',
      live: { ...answer, agreesWithModel: false },
      text: 'That is NOT what the model says',
    },
    {
      name: 'an older connection',
      live: { ...answer, isNewConnection: false },
      text: 'a connection made earlier',
    },
    { name: 'no packet', live: null, text: 'no such packet came in time' },
    { name: 'where to', live: answer, text: 'sent on to 10.1.0.3 port 8080, from 10.1.0.1' },
    {
      name: 'dropped',
      live: { ...answer, outcome: { kind: 'dropped', table: 'ip f', chain: 'c' } },
      text: 'dropped by ip f, chain c',
    },
  ] as const)('$name', ({ live, text }) => {
    expect(liveText(live).join('\n')).toContain(text);
  });
});

describe('diff', () => {
  const difference: Difference = {
    ...{ sign: '+', place: 'service-ips', key: '10.96.0.1 . tcp . 80', found: undefined },
    ...{ wanted: 'goto n3', servicePort: 'default/web:http', cause: 'drift' },
  };
  const table = (differences: readonly Difference[]) =>
    [{ table: 'ip weft-proxy', state: 'asDefined', differences }] as const;

  test.each([
    {
      name: 'missing',
      difference,
      text: '    + service-ips 10.96.0.1 . tcp . 80 -> goto n3 (default/web:http)\n',
    },
    {
      name: 'too much',
      difference: {
        ...difference,
        sign: '-',
        found: 'goto n2',
        wanted: undefined,
        servicePort: undefined,
      },
      text: '    - service-ips 10.96.0.1 . tcp . 80 -> goto n2\n',
    },
    {
      name: 'something else',
      difference: { ...difference, sign: '~', found: 'goto n2' },
      text: '    ~ service-ips 10.96.0.1 . tcp . 80: goto n2 -> goto n3 (default/web:http)\n',
    },
    { name: 'drift', difference, text: '  changed by somebody else, or not yet repaired:\n' },
    {
      name: 'pending',
      difference: { ...difference, cause: 'pending' },
      text: '  on its way to the kernel:\n',
    },
  ] as const)('$name', (row) => {
    expect(differenceText(table([row.difference]))).toContain(row.text);
  });

  test.each([
    { state: 'asDefined', differs: false, text: 'as it should be' },
    { state: 'missing', differs: true, text: 'missing, would be made' },
    { state: 'otherMake', differs: true, text: 'would be made anew' },
  ] as const)('$state', ({ state, differs, text }) => {
    const tables = [{ table: 'ip weft-proxy', state, differences: [] }];
    expect([hasDifferences(tables), differenceText(tables)]).toEqual([
      differs,
      expect.stringContaining(text),
    ]);
  });
});
