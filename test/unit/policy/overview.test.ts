import { expect, test } from 'vitest';
import { overviewOfPod, overviewOfPolicies } from '../../../src/policy/overview.ts';
import { type ClusterOptions, podObject, policyCluster } from '../../support/policy-objects.ts';

const DB = `
kind: NetworkPolicy
metadata: {namespace: shop, name: db}
spec:
  podSelector: {matchLabels: {pod: db}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {pod: cart}}}]
    ports: [{protocol: TCP, port: 5432}]
`;
const NOTHING_IN = `
kind: NetworkPolicy
metadata: {namespace: shop, name: nothing-in}
spec: {podSelector: {}, policyTypes: [Ingress]}
`;
const METRICS = `
kind: ClusterNetworkPolicy
metadata: {name: metrics}
spec:
  tier: Admin
  priority: 10
  subject: {namespaces: {}}
  ingress:
  - name: scrape
    action: Accept
    from: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
    protocols: [{tcp: {destinationPort: {number: 9090}}}]
`;

const cluster = (...policies: readonly string[]): ClusterOptions => ({
  namespaces: { shop: {}, monitoring: {} },
  pods: [
    podObject('shop/db', { ips: ['10.1.0.2', 'fd00::2'], node: 'node-a' }),
    podObject('shop/cart', { ips: ['10.1.0.3'] }),
    podObject('monitoring/prometheus', { ips: ['10.1.0.4'] }),
  ],
  policies,
});

function overviewOf(pod: string, ...policies: readonly string[]) {
  const { world } = policyCluster(cluster(...policies));
  const party = world.parties.pods().find(({ key }) => key === pod);
  if (party === undefined) throw new Error(pod);
  return overviewOfPod(world.evaluator, party);
}

test('policies in the order in which they decide, with the pods of each', () => {
  const { world } = policyCluster(cluster(DB, NOTHING_IN, METRICS));
  const pods = world.parties.pods().filter(({ namespace }) => namespace === 'shop');
  expect(overviewOfPolicies(world.evaluator, pods)).toEqual([
    {
      ...{ policy: 'metrics', tier: 'Admin', priority: 10, directions: ['ingress'] },
      ...{ pods: ['shop/db', 'shop/cart'], problems: [] },
    },
    {
      ...{ policy: 'shop/db', tier: 'NetworkPolicy', directions: ['ingress'] },
      ...{ pods: ['shop/db'], problems: [] },
    },
    {
      ...{ policy: 'shop/nothing-in', tier: 'NetworkPolicy', directions: ['ingress'] },
      ...{ pods: ['shop/db', 'shop/cart'], problems: [] },
    },
  ]);
});

test('a pod: what isolates it, and the rules that are asked about its traffic', () => {
  expect(overviewOf('shop/db', DB, NOTHING_IN, METRICS)).toEqual({
    pod: 'shop/db',
    ips: ['10.1.0.2', 'fd00::2'],
    node: 'node-a',
    ingress: {
      isolatedBy: ['shop/db', 'shop/nothing-in'],
      rules: [
        {
          ...{ policy: 'metrics', tier: 'Admin', priority: 10, rule: 0, name: 'scrape' },
          action: 'Accept',
          traffic: 'TCP 9090 from every pod in namespaces kubernetes.io/metadata.name=monitoring',
        },
        {
          ...{ policy: 'shop/db', tier: 'NetworkPolicy', rule: 0, action: 'Accept' },
          traffic: 'TCP 5432 from pods pod=cart in namespace shop',
        },
      ],
    },
    egress: { isolatedBy: [], rules: [] },
  });
});

const ingress = (rule: string) => `
kind: NetworkPolicy
metadata: {namespace: shop, name: p}
spec: {podSelector: {}, ingress: [${rule}]}
`;
const egress = (rule: string) => `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec: {tier: Baseline, priority: 1, subject: {namespaces: {}}, egress: [${rule}]}
`;

test.each([
  ['{}', 'everything from everybody'],
  ['{from: [{podSelector: {}}]}', 'everything from every pod in namespace shop'],
  ['{from: [{namespaceSelector: {}}]}', 'everything from every pod in every namespace'],
  [
    '{from: [{namespaceSelector: {matchLabels: {a: b}}, podSelector: {matchLabels: {c: d}}}]}',
    'everything from pods c=d in namespaces a=b',
  ],
  [
    '{from: [{podSelector: {matchExpressions: [{key: a, operator: In, values: [b, c]}, {key: d, operator: NotIn, values: [e]}, {key: f, operator: Exists}, {key: g, operator: DoesNotExist}]}}]}',
    'everything from pods a in (b,c),d notin (e),f,!g in namespace shop',
  ],
  [
    '{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 80}, {port: 8000, endPort: 8080}, {protocol: UDP, port: dns}, {protocol: SCTP}]}',
    'TCP 80, TCP 8000-8080, UDP "dns", all SCTP from 10.0.0.0/8 except 10.1.0.0/16',
  ],
])('%s: %s', (rule, want) => {
  expect(overviewOf('shop/db', ingress(rule)).ingress.rules[0]?.traffic).toBe(want);
});

test.each([
  [
    '{action: Deny, to: [{nodes: {matchLabels: {a: b}}}, {networks: [10.0.0.0/8, fd00::/8]}], protocols: [{tcp: {destinationPort: {range: {start: 1, end: 9}}}}, {destinationNamedPort: web}]}',
    'TCP 1-9, ports "web" to nodes a=b, 10.0.0.0/8, fd00::/8',
  ],
  [
    '{action: Accept, to: [{nodes: {}}, {pods: {namespaceSelector: {}, podSelector: {matchLabels: {a: b}}}}]}',
    'everything to every node, pods a=b in every namespace',
  ],
  [
    '{action: Deny, to: [{domainNames: [example.com]}]}',
    'everything: domainNames is not supported',
  ],
  [
    '{action: Accept, to: [{nodes: {}}, {domainNames: [example.com]}]}',
    'nothing: domainNames is not supported',
  ],
])('of a ClusterNetworkPolicy %s', (rule, want) => {
  expect(overviewOf('shop/db', egress(rule)).egress.rules[0]?.traffic).toBe(want);
});

test('of many peers the first ten are named', () => {
  const blocks = Array.from({ length: 12 }, (_, i) => `{ipBlock: {cidr: 10.0.${i}.0/24}}`);
  const { rules } = overviewOf('shop/db', ingress(`{from: [${blocks.join(', ')}]}`)).ingress;
  expect(rules[0]?.traffic).toMatch(/ 10\.0\.9\.0\/24 and 2 more$/);
});
