import { describe, expect, test } from 'vitest';
import type { LiveAnswer } from '../../../../src/agent/debug/explain/live/live-outcome.ts';
import type { ExplainAnswer } from '../../../../src/agent/debug/explain.ts';
import { type ConnectivityCheck, judge } from '../../../../src/cli/connectivity/checks.ts';
import {
  type MadeObjects,
  planMade,
  testObjects,
} from '../../../../src/cli/connectivity/objects.ts';
import { type Found, planFound } from '../../../../src/cli/connectivity/plan.ts';
import { resultText } from '../../../../src/cli/connectivity/text.ts';
import { parseIP } from '../../../../src/net/ip.ts';

const CLIENT = parseIP('10.1.0.2');
const SERVER = parseIP('10.2.0.2');
const SENT = { kind: 'sent', source: CLIENT, destination: SERVER, port: 8080 } as const;
const CHECK: ConnectivityCheck = {
  ...{ title: 'pod to pod', from: CLIENT, to: SERVER, port: 8080, protocol: 'tcp' },
  ...{ content: 'empty', expected: 'reached' },
};

function answer(
  outcome: ExplainAnswer['outcome'],
  live: Partial<LiveAnswer> | null | undefined,
): ExplainAnswer {
  const packet = { source: CLIENT, destination: SERVER, protocol: 'tcp', port: 8080 } as const;
  const base = {
    explanation: { packet, decisions: [], verdict: { kind: 'pass' } },
    ...{ ways: [], causes: [], pending: 0, outcome },
  } as const;
  if (live === undefined) return base;
  const usual: LiveAnswer = {
    ...{ outcome: SENT, isNewConnection: true, agreesWithModel: true, steps: [] },
    ...{ causes: [], unseen: [] },
  };
  return { ...base, live: live === null ? null : { ...usual, ...live } };
}

const reply = (kind: NonNullable<LiveAnswer['reply']>['kind']) => {
  return { reply: { kind, outcome: SENT, steps: [] } };
};
const FULL = { ...CHECK, protocol: 'udp', content: 'full', expected: 'arrives' } as const;
const DENIED = { ...CHECK, expected: 'denied' } as const;
const denied = { kind: 'denied', table: 'inet weft-policy', chain: 'refuse' } as const;

test.each([
  { name: 'answered', check: CHECK, said: answer('allowed', reply('answered')), why: '' },
  {
    name: 'refused',
    check: CHECK,
    said: answer('refused', reply('refused')),
    why: 'it is refused',
  },
  { name: 'silent', check: CHECK, said: answer('dropped', { reply: null }), why: 'nobody answers' },
  { name: 'not seen', check: CHECK, said: answer('allowed', null), why: /never came to the rules/ },
  { name: 'not sent', check: CHECK, said: answer('dropped', undefined), why: 'no packet was sent' },
  { name: 'full', check: FULL, said: answer('refused', reply('unreachable')), why: '' },
  { name: 'too large', check: FULL, said: answer('refused', reply('tooBig')), why: /only smaller/ },
  { name: 'lost', check: FULL, said: answer('allowed', { reply: null }), why: /does not arrive/ },
  { name: 'denied', check: DENIED, said: answer('dropped', { outcome: denied }), why: '' },
  {
    name: 'not denied',
    check: DENIED,
    said: answer('allowed', reply('answered')),
    why: 'it should be denied, and is allowed',
  },
  {
    name: 'a datagram that nobody answers',
    check: { ...CHECK, protocol: 'udp', content: 'dns' } as const,
    said: answer('allowed', { reply: null }),
    why: 'nobody answers',
  },
])('$name', ({ check, said, why }) => {
  const result = judge(check, said);
  expect(result.why).toEqual(typeof why === 'string' ? why : expect.stringMatching(why));
  expect(result.isGood).toBe(why === '');
  expect(resultText(result)).toContain(why === '' ? 'ok  ' : 'FAILED');
});

describe('what is made', () => {
  const settings = {
    ...{ namespace: 'n', image: 'i', command: ['serve'], thisNode: 'a', otherNodes: ['b', 'c'] },
  };

  test('one namespace with everything in it', () => {
    const objects = testObjects(settings);
    expect(objects.map(({ path }) => path)).toEqual([
      '/api/v1/namespaces',
      '/apis/networking.k8s.io/v1/namespaces/n/networkpolicies',
      '/api/v1/namespaces/n/services',
      ...Array(6).fill('/api/v1/namespaces/n/pods'),
    ]);
    for (const { object } of objects) {
      expect(object.metadata.labels).toHaveProperty('weft.dev/connectivity-test');
    }
  });

  const made: MadeObjects = {
    pods: new Map([
      ['client', [CLIENT]],
      ['here', [parseIP('10.1.0.3')]],
      ['guarded', [parseIP('10.1.0.4')]],
      ['published', [parseIP('10.1.0.5')]],
      ['away-1', [SERVER]],
    ]),
    nodes: new Map([
      ['client', 'a'],
      ['away-1', 'b'],
    ]),
    clusterIPs: [parseIP('172.30.0.1')],
    nodePort: 30_000,
    nodeAddresses: [parseIP('192.168.0.1')],
    dns: [],
    outside: [{ ip: parseIP('192.0.2.1'), port: 443 }],
    hasPolicies: true,
  };

  test('each is tried, and the one that is to be kept away from another pod', () => {
    const { checks, skipped } = planMade(made);
    expect(checks.map(({ title, from, to, port }) => `${title} ${from} ${to}:${port}`)).toEqual([
      'pod to pod, this node, IPv4 10.1.0.2 10.1.0.3:8080',
      'full-size packet, this node, IPv4 10.1.0.2 10.1.0.3:33434',
      'pod to pod, node b, IPv4 10.1.0.2 10.2.0.2:8080',
      'full-size packet, node b, IPv4 10.1.0.2 10.2.0.2:33434',
      'pod to Service, IPv4 10.1.0.2 172.30.0.1:80',
      'pod to NodePort, IPv4 10.1.0.2 192.168.0.1:30000',
      'pod to host port, IPv4 10.1.0.2 192.168.0.1:18080',
      'pod to the outside, IPv4 10.1.0.2 192.0.2.1:443',
      'policy allows, IPv4 10.1.0.2 10.1.0.4:8080',
      'policy denies, IPv4 10.1.0.3 10.1.0.4:8080',
    ]);
    expect(checks.at(-1)?.expected).toBe('denied');
    expect(skipped.map(({ title }) => title)).toEqual(['DNS, IPv4']);
  });
});

test('without a pod on record nothing is tried, and it is said', () => {
  const none: Found = { pods: [], services: [], endpoints: [], nodeAddresses: [], outside: [] };
  expect(planFound(none)).toEqual({
    checks: [],
    skipped: [{ title: 'all', why: 'no pod of this node is on record' }],
  });
});
