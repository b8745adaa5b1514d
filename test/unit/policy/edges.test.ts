/** What NetworkPolicies mean where it is easy to get wrong, each edge by example. */
import { describe, expect, test } from 'vitest';
import { decodeNetworkPolicy } from '../../../src/kube/policy/decode-network-policy.ts';
import { nodeObject, podObject, policyCluster } from '../../support/policy-objects.ts';

const PORTS = ['web:80/TCP', 'alt:81/TCP', 'dns:53/UDP'];
const pods = [
  podObject('x/a', { ips: ['10.0.1.1', 'fd00::1:1'], ports: PORTS, node: 'n1' }),
  podObject('x/b', { ips: ['10.0.1.2', 'fd00::1:2'], ports: PORTS, node: 'n1' }),
  podObject('y/a', { ips: ['10.0.2.1', 'fd00::2:1'], ports: PORTS, node: 'n2' }),
];
const namespaces = { x: { team: 'red' }, y: { team: 'blue' } };
const nodes = [nodeObject('n1', ['192.168.0.1']), nodeObject('n2', ['192.168.0.2'])];

/** A policy on x/a. */
function policy(spec: string, name = 'p'): string {
  return `{kind: NetworkPolicy, metadata: {namespace: x, name: ${name}}, spec: {podSelector: {matchLabels: {pod: a}}, ${spec}}}`;
}

function cluster(...policies: string[]) {
  return policyCluster({ pods, namespaces, nodes, policies });
}

describe('which directions a policy isolates', () => {
  test.each([
    { spec: 'ingress: []', ingress: false, egress: true },
    { spec: 'policyTypes: [Ingress]', ingress: false, egress: true },
    { spec: 'ingress: [{}]', ingress: true, egress: true },
    { spec: 'egress: [{}]', ingress: false, egress: true },
    { spec: 'egress: [{ports: [{port: 81}]}]', ingress: false, egress: false },
    { spec: 'policyTypes: [Egress]', ingress: true, egress: false },
    { spec: 'policyTypes: [Egress], egress: []', ingress: true, egress: false },
    { spec: 'policyTypes: [Ingress, Egress], ingress: [{}]', ingress: true, egress: false },
    {
      spec: 'policyTypes: [Ingress], egress: [{ports: [{port: 81}]}]',
      ingress: false,
      egress: true,
    },
  ])('$spec', ({ spec, ingress, egress }) => {
    const { allows } = cluster(policy(spec));
    expect({ ingress: allows('y/a -> x/a:80'), egress: allows('x/a -> y/a:80') }).toEqual({
      ingress,
      egress,
    });
  });
});

describe('peers', () => {
  const from = (peers: string) => policy(`ingress: [{from: [${peers}]}]`);

  test.each([
    { peers: '{podSelector: {}}', b: true, y: false },
    { peers: '{namespaceSelector: {}}', b: true, y: true },
    { peers: '{namespaceSelector: {matchLabels: {team: blue}}}', b: false, y: true },
    {
      peers: '{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: y}}}',
      b: false,
      y: true,
    },
    {
      peers:
        '{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {pod: b}}}',
      b: false,
      y: false,
    },
    {
      peers:
        '{namespaceSelector: {matchLabels: {team: blue}}}, {podSelector: {matchLabels: {pod: b}}}',
      b: true,
      y: true,
    },
    {
      peers: '{podSelector: {matchExpressions: [{key: pod, operator: NotIn, values: [b]}]}}',
      b: false,
      y: false,
    },
    {
      peers: '{podSelector: {matchExpressions: [{key: absent, operator: NotIn, values: [b]}]}}',
      b: true,
      y: false,
    },
    {
      peers: '{podSelector: {matchExpressions: [{key: pod, operator: Exists}]}}',
      b: true,
      y: false,
    },
    {
      peers: '{podSelector: {matchExpressions: [{key: constructor, operator: Exists}]}}',
      b: false,
      y: false,
    },
    { peers: '', b: true, y: true },
    { peers: '{ipBlock: {cidr: 10.0.0.0/16, except: [10.0.2.0/24]}}', b: true, y: false },
    {
      peers:
        '{ipBlock: {cidr: 10.0.0.0/16, except: [10.0.2.0/24]}}, {ipBlock: {cidr: 10.0.2.0/24}}',
      b: true,
      y: true,
    },
    { peers: '{ipBlock: {cidr: 10.0.0.0/8}}, {ipBlock: {cidr: 10.0.0.0/16}}', b: true, y: true },
    { peers: '{ipBlock: {cidr: 10.0.0.0/16, except: [10.0.0.0/16]}}', b: false, y: false },
    { peers: '{ipBlock: {cidr: 10.0.1.77/24}}', b: true, y: false },
  ])('$peers', ({ peers, b, y }) => {
    const { allows } = cluster(from(peers));
    expect({ b: allows('x/b -> x/a:80'), y: allows('y/a -> x/a:80') }).toEqual({ b, y });
  });

  test('an IPv4 block allows nothing over IPv6', () => {
    const { allows, answer } = cluster(from('{ipBlock: {cidr: 0.0.0.0/0}}'));
    expect(allows('y/a -> x/a:80')).toBe(true);
    expect(allows('y/a -> x/a:80', { family: 6 })).toBe(false);
    expect(answer('y/a -> x/a:80')).toMatchObject({
      reason: expect.stringContaining('over IPv6 denied'),
    });
  });

  test('addresses outside of the cluster match by block only', () => {
    expect(cluster(from('{ipBlock: {cidr: 203.0.113.0/24}}')).allows('203.0.113.9 -> x/a:80')).toBe(
      true,
    );
    expect(cluster(from('{namespaceSelector: {}}')).allows('203.0.113.9 -> x/a:80')).toBe(false);
  });

  test('the address of a pod is the pod', () => {
    expect(cluster(from('{podSelector: {}}')).allows('10.0.1.2 -> 10.0.1.1:80')).toBe(true);
  });

  test('a peer that names nothing allows nobody, and a file with one is refused', () => {
    const object = {
      metadata: { name: 'p' },
      spec: { podSelector: {}, ingress: [{ from: [{}] }] },
    };
    expect(() => decodeNetworkPolicy(object, 'strict')).toThrow('spec.ingress[0].from[0]: needs');
    expect(decodeNetworkPolicy(object, 'lenient').rules.ingress).toHaveLength(1);
  });
});

describe('ports', () => {
  const ports = (text: string) => cluster(policy(`ingress: [{ports: [${text}]}]`));

  test.each([
    { text: '{port: 80}', allowed: ['80/tcp'] },
    { text: '{port: 80, endPort: 80}', allowed: ['80/tcp'] },
    { text: '{port: 1, endPort: 65535}', allowed: ['80/tcp', '81/tcp'] },
    { text: '{protocol: UDP}', allowed: ['80/udp', '53/udp'] },
    { text: '{protocol: SCTP, port: 80}', allowed: [] },
    { text: '{protocol: UDP, port: 80}', allowed: ['80/udp'] },
    { text: '{port: web}', allowed: ['80/tcp'] },
    { text: '{port: web, protocol: UDP}', allowed: [] },
    { text: '{port: dns, protocol: UDP}', allowed: ['53/udp'] },
    { text: '{port: nobody}', allowed: [] },
    { text: '', allowed: ['80/tcp', '81/tcp', '80/udp', '53/udp', 'icmp'] },
  ])('[$text] allows $allowed', ({ text, allowed }) => {
    const { allows } = ports(text);
    const asked = ['80/tcp', '81/tcp', '80/udp', '53/udp'];
    const found = asked.filter((target) => allows(`y/a -> x/a:${target}`));
    if (allows('y/a -> x/a:1/icmp')) found.push('icmp');
    expect(found).toEqual(allowed);
  });

  test('a named port is the destination pod’s own, in egress too', () => {
    const two = [
      ...pods,
      podObject('y/v1', { ips: ['10.0.2.8'], ports: ['web:80/TCP'] }),
      podObject('y/v2', { ips: ['10.0.2.9'], ports: ['web:8080/TCP'] }),
      podObject('y/side', { ips: ['10.0.2.10'], initPorts: ['web:9090/TCP'] }),
    ];
    const { allows } = policyCluster({
      pods: two,
      policies: [policy('policyTypes: [Egress], egress: [{ports: [{port: web}]}]')],
    });
    const reached = [
      'y/v1:80',
      'y/v1:8080',
      'y/v2:80',
      'y/v2:8080',
      'y/side:9090',
      '203.0.113.1:80',
    ];
    expect(reached.filter((target) => allows(`x/a -> ${target}`))).toEqual([
      'y/v1:80',
      'y/v2:8080',
      'y/side:9090',
    ]);
  });

  test.each([
    ['{port: web, endPort: 90}', 'endPort: needs a number in port'],
    ['{port: 80, endPort: 79}', 'endPort: must be at least port 80'],
    ['{endPort: 79}', 'endPort: needs a number in port'],
    ['{port: 0}', 'must be 1 to 65535'],
    ['{port: "80"}', 'must be a number or the name'],
    ['{protocol: HTTP}', 'must be one of TCP, UDP, SCTP'],
  ])('%s is refused', (text, message) => {
    expect(() => ports(text)).toThrow(message);
  });
});

describe('who policies are about', () => {
  const deny = policy('policyTypes: [Ingress, Egress]');
  const denyAll = (namespace: string) =>
    `{kind: NetworkPolicy, metadata: {namespace: ${namespace}, name: deny}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}`;

  test('both sides have to allow', () => {
    const onlyIngress = `{kind: NetworkPolicy, metadata: {namespace: x, name: both}, spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}]}]}}`;
    const { allows, answer } = cluster(onlyIngress);
    expect(allows('x/a -> x/b:80')).toBe(false);
    expect(answer('x/a -> x/b:80')).toMatchObject({
      reason: 'egress: NetworkPolicy x/both isolates x/a and allows no TCP 80 to x/b',
    });
  });

  test('a pod reaches itself and its own node, and that reaches it', () => {
    const { allows } = cluster(deny);
    expect(allows('x/a -> x/a:80')).toBe(true);
    expect(allows('node/n1 -> x/a:80')).toBe(true);
    expect(allows('192.168.0.1 -> x/a:80')).toBe(true);
    expect(allows('node/n2 -> x/a:80')).toBe(false);
    expect(allows('x/a -> node/n1:10250')).toBe(true);
    expect(allows('x/a -> node/n2:10250')).toBe(false);
  });

  test('another node is allowed by its address only', () => {
    const { allows } = cluster(policy('ingress: [{from: [{ipBlock: {cidr: 192.168.0.2/32}}]}]'));
    expect(allows('node/n2 -> x/a:80')).toBe(true);
  });

  test('pods with the network of their node are the node', () => {
    const host = podObject('x/host', { ips: ['192.168.0.2'], hostNetwork: true, node: 'n2' });
    const { allows } = policyCluster({
      pods: [...pods, host],
      nodes,
      policies: [denyAll('x'), denyAll('y'), policy('ingress: [{from: [{podSelector: {}}]}]', 'q')],
    });
    expect(allows('x/host -> x/a:80')).toBe(false);
    expect(allows('x/host -> y/a:80')).toBe(true);
    expect(allows('203.0.113.1 -> x/host:80')).toBe(true);
  });

  test('pods that have ended are nobody', () => {
    const { answer } = policyCluster({
      pods: [...pods, podObject('x/job', { ips: ['10.0.1.9'], phase: 'Succeeded' })],
      policies: [policy('ingress: [{from: [{podSelector: {}}]}]')],
    });
    expect(answer('x/job -> x/a:80')).toEqual({
      error: 'Pod x/job has ended: its addresses are no longer its own',
    });
    expect(answer('10.0.1.9 -> x/a:80')).toMatchObject({ allowed: false });
  });

  test('policies of another namespace do not select, and the last one gone ends isolation', () => {
    expect(cluster(denyAll('y')).allows('x/b -> x/a:80')).toBe(true);
    expect(cluster().answer('x/b -> x/a:80')).toEqual({
      allowed: true,
      reason: 'egress: no policy selects x/b; ingress: no policy selects x/a',
    });
  });
});
