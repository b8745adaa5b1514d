/** ClusterNetworkPolicy: tiers, priorities, actions, and what fails closed. */
import { describe, expect, test } from 'vitest';
import { nodeObject, podObject, policyCluster } from '../../support/policy-objects.ts';

const PORTS = ['web:80/TCP', 'alt:81/TCP'];
const pods = [
  podObject('x/a', { ips: ['10.0.1.1'], ports: PORTS, node: 'n1' }),
  podObject('x/b', { ips: ['10.0.1.2'], ports: PORTS, node: 'n1' }),
  podObject('y/a', { ips: ['10.0.2.1'], ports: PORTS, node: 'n2' }),
];
const namespaces = { x: { team: 'red' }, y: { team: 'blue' } };
const nodes = [
  nodeObject('n1', ['192.168.0.1'], { pool: 'a' }),
  nodeObject('n2', ['192.168.0.2'], { pool: 'b' }),
];

const X = '{namespaces: {matchLabels: {team: red}}}';
const FROM_ALL = 'from: [{namespaces: {}}]';

function cluster(...policies: string[]) {
  return policyCluster({ pods, namespaces, nodes, policies });
}

function clusterPolicy(tier: 'Admin' | 'Baseline', priority: number, rules: string, name = 'p') {
  return `{kind: ClusterNetworkPolicy, metadata: {name: ${name}}, spec: {tier: ${tier}, priority: ${priority}, subject: ${X}, ${rules}}}`;
}

function namespaced(rules: string) {
  return `{kind: NetworkPolicy, metadata: {namespace: x, name: np}, spec: {podSelector: {}, ${rules}}}`;
}

const ASKED = 'y/a -> x/a:80';

describe('tiers', () => {
  const allow = `ingress: [{action: Accept, ${FROM_ALL}}]`;
  const deny = `ingress: [{action: Deny, ${FROM_ALL}}]`;
  const pass = `ingress: [{action: Pass, ${FROM_ALL}}]`;

  test.each([
    { what: 'Admin Deny', policies: [clusterPolicy('Admin', 1, deny)], allowed: false },
    {
      what: 'Admin Deny before NetworkPolicy',
      policies: [clusterPolicy('Admin', 1, deny), namespaced('ingress: [{}]')],
      allowed: false,
    },
    {
      what: 'Admin Accept before NetworkPolicy',
      policies: [clusterPolicy('Admin', 1, allow), namespaced('ingress: []')],
      allowed: true,
    },
    {
      what: 'Admin Pass to NetworkPolicy',
      policies: [clusterPolicy('Admin', 1, pass), namespaced('ingress: []')],
      allowed: false,
    },
    {
      what: 'Admin Pass skips the tier',
      policies: [clusterPolicy('Admin', 1, pass), clusterPolicy('Admin', 2, deny, 'q')],
      allowed: true,
    },
    {
      what: 'Admin Pass to Baseline',
      policies: [clusterPolicy('Admin', 1, pass), clusterPolicy('Baseline', 2, deny, 'q')],
      allowed: false,
    },
    {
      what: 'NetworkPolicy is final for its pods',
      policies: [namespaced('ingress: [{}]'), clusterPolicy('Baseline', 1, deny)],
      allowed: true,
    },
    { what: 'Baseline Deny', policies: [clusterPolicy('Baseline', 1, deny)], allowed: false },
    {
      what: 'Baseline Pass is the default',
      policies: [clusterPolicy('Baseline', 1, pass), clusterPolicy('Baseline', 2, deny, 'q')],
      allowed: true,
    },
    {
      what: 'the lower priority number first',
      policies: [clusterPolicy('Admin', 9, deny), clusterPolicy('Admin', 3, allow, 'q')],
      allowed: true,
    },
    {
      what: 'equal numbers by name',
      policies: [clusterPolicy('Admin', 3, deny, 'b'), clusterPolicy('Admin', 3, allow, 'a')],
      allowed: true,
    },
    {
      what: 'the first rule of a policy',
      policies: [
        clusterPolicy(
          'Admin',
          1,
          `ingress: [{action: Accept, ${FROM_ALL}, protocols: [{tcp: {destinationPort: {number: 80}}}]}, {action: Deny, ${FROM_ALL}}]`,
        ),
      ],
      allowed: true,
    },
  ])('$what', ({ policies, allowed }) => {
    expect(cluster(...policies).allows(ASKED)).toBe(allowed);
  });

  test('a policy without rules in a direction leaves it alone', () => {
    const { allows } = cluster(clusterPolicy('Admin', 1, deny));
    expect(allows('x/a -> y/a:80')).toBe(true);
  });

  test('the reason names tier, policy and rule', () => {
    const named = `ingress: [{name: nobody, action: Deny, ${FROM_ALL}}]`;
    expect(cluster(clusterPolicy('Admin', 1, named)).answer(ASKED)).toEqual({
      allowed: false,
      reason: 'ingress: ClusterNetworkPolicy (Admin) p, ingress[0] "nobody", denies it',
    });
  });

  test('a pod reaches itself and its node, and its node reaches it', () => {
    const { allows } = cluster(clusterPolicy('Admin', 1, deny));
    expect(allows('x/a -> x/a:80')).toBe(true);
    expect(allows('node/n1 -> x/a:80')).toBe(true);
    expect(allows('x/a -> node/n1:80')).toBe(true);
  });
});

describe('peers and protocols', () => {
  const denyTo = (peer: string, protocols = '') =>
    cluster(clusterPolicy('Admin', 1, `egress: [{action: Deny, to: [${peer}]${protocols}}]`));

  test.each([
    { peer: '{namespaces: {}}', denied: ['x/b', 'y/a'] },
    {
      peer: '{pods: {namespaceSelector: {}, podSelector: {matchLabels: {pod: b}}}}',
      denied: ['x/b'],
    },
    { peer: '{nodes: {}}', denied: ['node/n2'] },
    { peer: '{nodes: {matchLabels: {pool: b}}}', denied: ['node/n2'] },
    { peer: '{networks: [10.0.2.0/24, 203.0.113.0/24]}', denied: ['y/a', '203.0.113.7'] },
    {
      peer: '{networks: [0.0.0.0/0]}',
      denied: ['x/b', 'y/a', 'node/n2', '203.0.113.7'],
    },
  ])('$peer', ({ peer, denied }) => {
    const { allows } = denyTo(peer);
    const asked = ['x/b', 'y/a', 'node/n2', '192.168.0.1', '203.0.113.7'];
    expect(asked.filter((to) => !allows(`x/a -> ${to}:80`))).toEqual(denied);
  });

  test.each([
    { protocols: '{tcp: {}}', denied: ['80/tcp', '81/tcp'] },
    { protocols: '{tcp: {destinationPort: {number: 80}}}', denied: ['80/tcp'] },
    { protocols: '{tcp: {destinationPort: {range: {start: 81, end: 90}}}}', denied: ['81/tcp'] },
    { protocols: '{udp: {destinationPort: {number: 80}}}', denied: ['80/udp'] },
    { protocols: '{destinationNamedPort: alt}', denied: ['81/tcp'] },
    { protocols: '{sctp: {}}, {udp: {}}', denied: ['80/udp', '80/sctp'] },
  ])('$protocols', ({ protocols, denied }) => {
    const { allows } = denyTo('{namespaces: {}}', `, protocols: [${protocols}]`);
    const asked = ['80/tcp', '81/tcp', '80/udp', '80/sctp', '1/icmp'];
    expect(asked.filter((to) => !allows(`x/a -> y/a:${to}`))).toEqual(denied);
  });

  test('a rule without protocols is about ICMP too', () => {
    expect(denyTo('{namespaces: {}}').allows('x/a -> y/a:1/icmp')).toBe(false);
  });
});

describe('what is not known fails closed', () => {
  const rule = (action: string, peer: string, more = '') =>
    cluster(
      clusterPolicy('Admin', 1, `egress: [{action: ${action}, to: [${peer}]${more}}]`),
      namespaced('policyTypes: [Egress]'),
    );

  test.each([
    { peer: '{domainNames: [example.com]}', more: '' },
    { peer: '{}', more: '' },
    { peer: '{galaxies: {}}', more: '' },
    { peer: '{namespaces: {}}', more: ', protocols: [{quic: {}}]' },
    { peer: '{namespaces: {}}', more: ', protocols: [{tcp: {destinationPort: {names: [a]}}}]' },
  ])('$peer $more', ({ peer, more }) => {
    expect(rule('Accept', peer, more).allows('x/a -> y/a:80')).toBe(false);
    const passing = cluster(
      clusterPolicy('Admin', 1, `egress: [{action: Pass, to: [${peer}]${more}}]`),
    );
    expect(passing.allows('x/a -> y/a:80')).toBe(false);
    expect(passing.allows('x/a -> 203.0.113.1:80')).toBe(false);
    expect(passing.world.evaluator.problems()).toHaveLength(1);
  });

  test('the problem names the field', () => {
    expect(rule('Accept', '{domainNames: [example.com]}').world.evaluator.problems()).toEqual([
      { policy: 'p', problem: 'egress[0]: domainNames is not supported, the rule fails closed' },
    ]);
  });
});
