import { describe, expect, test } from 'vitest';
import { describePod, listPolicies } from '../../../../src/agent/debug/policy.ts';
import {
  denialText,
  policyListText,
  policyPodText,
} from '../../../../src/agent/debug/policy-text.ts';
import type { ToldDenial } from '../../../../src/agent/policy/denials.ts';
import type { PolicyView } from '../../../../src/agent/policy/view.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import type { PolicyCounter } from '../../../../src/policy/counters.ts';
import { podObject, policyCluster } from '../../../support/policy-objects.ts';

const DB = `
kind: NetworkPolicy
metadata: {namespace: shop, name: db}
spec:
  podSelector: {matchLabels: {pod: db}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{podSelector: {matchLabels: {pod: cart}}}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]
    ports: [{protocol: TCP, port: 5432}]
`;
const ELSEWHERE = `
kind: NetworkPolicy
metadata: {namespace: shop, name: elsewhere}
spec: {podSelector: {matchLabels: {pod: elsewhere}}, ingress: [{}]}
`;
const NAMES = `
kind: ClusterNetworkPolicy
metadata: {name: names}
spec:
  tier: Baseline
  priority: 7
  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: other}}}
  egress:
  - {name: example, action: Accept, to: [{domainNames: [example.com]}]}
  - {action: Pass, to: [{networks: [192.0.2.0/24]}]}
`;

const COUNTS: readonly PolicyCounter[] = [
  { policy: 'shop/db', tier: 'NetworkPolicy', direction: 'ingress', allowed: 12, denied: 3 },
  { policy: 'shop/db', tier: 'NetworkPolicy', direction: 'egress', allowed: 0, denied: 40 },
];

function view(more: Partial<PolicyView> = {}): PolicyView {
  const { world } = policyCluster({
    namespaces: { shop: {}, other: {} },
    pods: [
      podObject('shop/db', { ips: ['10.1.0.2', 'fd00::2'], node: 'node-a' }),
      podObject('shop/cart', { ips: ['10.1.0.3'], node: 'node-a' }),
      podObject('shop/elsewhere', { ips: ['10.2.0.2'], node: 'node-b' }),
      podObject('other/cart', { ips: ['10.2.0.3'], node: 'node-b' }),
      podObject('shop/host', { ips: ['192.168.0.1'], node: 'node-a', hostNetwork: true }),
      podObject('shop/new'),
    ],
    policies: [DB, ELSEWHERE, NAMES],
  });
  return {
    whyNotReady: () => '',
    world: () => world,
    counters: () => Promise.resolve(COUNTS),
    isLocal: (pod) => ['shop/db', 'shop/cart'].includes(pod),
    denied: () => [],
    tellsDenied: () => false,
    followDenied: () => ({ close: () => {} }),
    ...more,
  };
}

describe('policy list', () => {
  test('policies with the pods of this node and what they did', async () => {
    const { podCount, policies } = await listPolicies(view());
    expect(podCount).toBe(2);
    expect(policies).toMatchObject([
      {
        ...{ policy: 'shop/db', podCount: 1, pods: ['shop/db'] },
        connections: [
          { direction: 'ingress', allowed: 12, denied: 3 },
          { direction: 'egress', allowed: 0, denied: 40 },
        ],
      },
      { policy: 'shop/elsewhere', podCount: 0, connections: [] },
      { policy: 'names', podCount: 0 },
    ]);
  });

  test.each([false, true])('as a table, all of them: %s', async (isAll) => {
    const text = policyListText(await listPolicies(view()), { isAll });
    await expect(text).toMatchFileSnapshot(`policy/list${isAll ? '-all' : ''}.txt`);
  });

  test('of a long list the first pods are named', async () => {
    const { world } = policyCluster({
      pods: Array.from({ length: 30 }, (_, i) => podObject(`shop/p${i}`)),
      policies: ['{kind: NetworkPolicy, metadata: {namespace: shop, name: all}, spec: {}}'],
    });
    const { policies } = await listPolicies(view({ world: () => world, isLocal: () => true }));
    expect([policies[0]?.podCount, policies[0]?.pods.length]).toEqual([30, 20]);
  });

  test('no policy at all', async () => {
    const { world } = policyCluster({ pods: [] });
    const text = policyListText(await listPolicies(view({ world: () => world })), { isAll: false });
    expect(text).toBe("no policy selects any of this node's 0 pods\n");
  });

  test('says when policies do not hold, and why', async () => {
    const whyNotReady = () => 'proxy mode ipvs takes connections to Services around the rules';
    const text = policyListText(await listPolicies(view({ whyNotReady })), { isAll: false });
    expect(text).toContain(
      '! policies do not hold on this node: proxy mode ipvs takes connections to\n' +
        '  Services around the rules\n',
    );
  });

  test('names as long as the API allows', async () => {
    const policy = `${'n'.repeat(63)}/${'p'.repeat(253)}`;
    const [first] = (await listPolicies(view())).policies;
    if (first === undefined) throw new Error('no policy');
    const text = policyListText(
      { whyNotReady: '', podCount: 1, policies: [{ ...first, policy }] },
      { isAll: true },
    );
    const tooLong = text.split('\n').filter((line) => line.length > 80);
    expect(tooLong.map((line) => line.includes(policy))).toEqual([true]);
  });
});

describe('policy pod', () => {
  test.each(['shop/db', 'other/cart', 'shop/new'])('%s', async (name) => {
    const text = policyPodText(describePod(name, view()));
    await expect(text).toMatchFileSnapshot(`policy/pod-${name.replace('/', '-')}.txt`);
  });

  test('a name alone will do where it is the only one', () => {
    expect(describePod('db', view())).toMatchObject({ pod: 'shop/db', isLocal: true });
  });

  test.each([
    ['cart', 'pods of that name are in shop, other: ask for NAMESPACE/cart'],
    ['nobody', 'no Pod nobody that this node knows'],
    ['shop/nobody', 'no Pod shop/nobody'],
    ['shop/host', "shop/host has its node's network, so policies do not select it"],
  ])('%s is refused', (name, message) => {
    expect(() => describePod(name, view())).toThrow(message);
  });
});

describe('denials', () => {
  const denial: ToldDenial = {
    ...{ number: 1, at: '2026-01-02T03:04:05.678Z', from: 'shop/cart', to: 'shop/db' },
    ...{ fromIP: parseIP('10.1.0.3'), toIP: parseIP('10.1.0.2'), protocol: 'TCP', port: 5432 },
    ...{ direction: 'ingress', pod: 'shop/db', policies: [], packets: 1, suppressed: 0 },
    reason: 'ingress: NetworkPolicy shop/db isolates shop/db and allows no TCP 5432 from shop/cart',
  };

  test.each([
    [
      'one packet',
      {},
      '2026-01-02T03:04:05Z  shop/cart -> shop/db:5432/tcp\n' +
        '    ingress: NetworkPolicy shop/db isolates shop/db and allows no TCP 5432 from\n' +
        '      shop/cart\n',
    ],
    [
      'several, without a port, and others beside',
      { packets: 3, suppressed: 9, port: 0, protocol: 'ICMP', reason: 'why' },
      '2026-01-02T03:04:05Z  shop/cart -> shop/db/icmp, 3 packets\n' +
        '    why; 9 packets before it were not told\n',
    ],
  ])('%s', (_name, more, want) => {
    expect(denialText({ ...denial, ...more })).toBe(want);
  });
});
