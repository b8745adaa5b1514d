/** What NetworkPolicies mean where it is easy to get wrong, as packets; the numbers are those of the edges. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { EnforcedCluster } from '../support/policy-enforced.ts';
import {
  createEnforcedLab,
  type EnforcedLab,
  type Wanted,
} from '../support/policy-enforced-lab.ts';

const PORTS = [80, 81];
const NAMED = ['web:80/TCP', 'alt:81/TCP', 'dns:81/UDP'];
const CLOSED_PORT = 9;

let lab: EnforcedLab;
let cluster: EnforcedCluster;

beforeAll(async () => {
  lab = await createEnforcedLab({
    pods: [
      ['x/a', 'x/b'],
      ['y/a', 'y/b', 'x/c'],
    ],
    ports: PORTS,
  });
  ({ cluster } = lab);
  reset();
  cluster.setSynced();
  cluster.commit();
});

afterEach(() => {
  reset();
  cluster.commit();
});

afterAll(() => lab?.remove());

function reset(): void {
  cluster.deletePolicies();
  cluster.putNamespace('x', { team: 'red' });
  cluster.putNamespace('y', { team: 'blue' });
  for (const pod of lab.pods) cluster.place(pod, { ports: NAMED });
}

const pod = (name: string) => lab.pod(name);

/** A policy on x/a unless the spec has a podSelector. */
function policy(spec: string, name = 'p'): string {
  const selector = spec.includes('podSelector: {}, policy')
    ? ''
    : 'podSelector: {matchLabels: {pod: a}}, ';
  return `{kind: NetworkPolicy, metadata: {namespace: x, name: ${name}}, spec: {${selector}${spec}}}`;
}

/** These pass and those do not, and everything else is as the evaluator says. */
async function expectPackets(wanted: Wanted): Promise<void> {
  expect(await lab.differences(wanted)).toEqual([]);
}

interface Edge {
  readonly edge: number;
  readonly spec: string;
  readonly pass?: readonly string[];
  readonly fail?: readonly string[];
}

const IN = 'y/a -> x/a:80';
const OUT = 'x/a -> y/a:80';
const from = (peers: string) => `ingress: [{from: [${peers}]}]`;
const ports = (text: string) => `ingress: [{ports: [${text}]}]`;
const block = (cidr: string, ...except: string[]) =>
  `{ipBlock: {cidr: "${cidr}"${except.length > 0 ? `, except: [${except.map((one) => `"${one}"`).join()}]` : ''}}}`;

const EDGES: readonly Edge[] = [
  { edge: 1, spec: 'ingress: []', fail: [IN], pass: [OUT] },
  { edge: 1, spec: 'policyTypes: [Ingress]', fail: [IN], pass: [OUT] },
  { edge: 1, spec: 'ingress: [{}]', pass: [IN, OUT, `${IN}/icmp`, 'outside -> x/a:80'] },
  { edge: 2, spec: 'egress: [{}]', fail: [IN], pass: [OUT] },
  { edge: 3, spec: 'policyTypes: [Egress]', fail: [OUT], pass: [IN] },
  {
    edge: 4,
    spec: from(`${block('10.244.0.0/16', '10.244.2.0/24')}, ${block('10.244.2.10/32')}`),
    pass: [IN, 'x/b -> x/a:80'],
    fail: ['y/b -> x/a:80', 'outside -> x/a:80', `${IN} over IPv6`],
  },
  { edge: 5, spec: from(block('0.0.0.0/0')), pass: [IN], fail: [`${IN} over IPv6`] },
  { edge: 5, spec: from(block('::/0')), pass: [`${IN} over IPv6`], fail: [IN] },
  { edge: 6, spec: from(block('10.244.0.0/16', '10.244.0.0/16')), fail: [IN] },
  {
    edge: 7,
    spec: from([block('10.0.0.0/8'), block('10.244.0.0/16'), block('10.0.0.0/8')].join()),
    pass: [IN, 'x/b -> x/a:81/sctp'],
    fail: ['outside -> x/a:80'],
  },
  { edge: 8, spec: ports('{port: web, protocol: UDP}'), fail: [IN, `${IN}/udp`] },
  {
    edge: 8,
    spec: ports('{port: dns, protocol: UDP}'),
    pass: ['y/a -> x/a:81/udp'],
    fail: ['y/a -> x/a:81'],
  },
  { edge: 11, spec: ports('{port: 80, endPort: 80}'), pass: [IN], fail: ['y/a -> x/a:81'] },
  {
    edge: 11,
    spec: ports('{port: 1, endPort: 65535}'),
    pass: [IN, 'y/a -> x/a:81'],
    fail: [`${IN}/udp`],
  },
  { edge: 12, spec: ports('{protocol: SCTP, port: 80}'), pass: [`${IN}/sctp`], fail: [IN] },
  { edge: 13, spec: ports('{protocol: UDP, port: 80}'), pass: [`${IN}/udp`], fail: [IN] },
  {
    edge: 21,
    spec: 'policyTypes: [Ingress, Egress]',
    pass: ['node/n1 -> x/a:80', 'node/n1 -> x/a:80/icmp', 'node/n1 -> x/a:80 over IPv6'],
    fail: ['node/n2 -> x/a:80'],
  },
  { edge: 22, spec: from(block('192.0.2.2/32')), pass: ['node/n2 -> x/a:80'], fail: [IN] },
  { edge: 22, spec: from('{namespaceSelector: {}}'), fail: ['node/n2 -> x/a:80'], pass: [IN] },
  {
    edge: 23,
    spec: ports('{port: 80}'),
    pass: [IN, 'outside -> x/a:80', 'node/n2 -> x/a:80 over IPv6'],
    fail: ['y/a -> x/a:81', 'outside -> x/a:81'],
  },
  {
    edge: 24,
    spec: 'podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}]}]',
    fail: ['x/a -> x/b:80', 'x/b -> x/a:80', 'x/c -> x/a:80', OUT],
  },
  { edge: 25, spec: 'ingress: [{}]', pass: [`${IN}/icmp`] },
  { edge: 25, spec: ports('{port: 80}'), fail: [`${IN}/icmp`, `${IN}/icmp over IPv6`] },
  { edge: 27, spec: from(block('10.244.2.99/24')), pass: [IN], fail: ['x/b -> x/a:80'] },
];

test.each(EDGES)('[$edge] $spec', async ({ spec, pass = [], fail = [] }) => {
  cluster.putPolicy(policy(spec));
  cluster.commit();
  await expectPackets({ pass, fail });
});

describe('named ports', () => {
  test('[8] one name for a port of TCP and another of UDP', async () => {
    cluster.place(pod('x/a'), { ports: ['web:80/TCP', 'web:81/UDP'] });
    cluster.putPolicy(policy(ports('{port: web}, {port: web, protocol: UDP}')));
    cluster.commit();
    await expectPackets({
      pass: [IN, 'y/a -> x/a:81/udp'],
      fail: ['y/a -> x/a:80/udp', 'y/a -> x/a:81'],
    });
  });

  test('[9] each pod’s own, in egress to everybody too', async () => {
    cluster.place(pod('y/a'), { ports: ['web:80/TCP'] });
    cluster.place(pod('y/b'), { ports: ['web:81/TCP'] });
    cluster.place(pod('x/b'), { ports: [] });
    cluster.putPolicy(policy('policyTypes: [Egress], egress: [{ports: [{port: web}]}]'));
    cluster.commit();
    await expectPackets({
      pass: ['x/a -> y/a:80', 'x/a -> y/b:81', 'x/a -> y/b:81 over IPv6'],
      fail: ['x/a -> y/a:81', 'x/a -> y/b:80', 'x/a -> x/b:80'],
    });
  });

  test('[9] a pod that exposes another port under the name', async () => {
    cluster.putPolicy(policy(ports('{port: web}')));
    cluster.commit();
    await expectPackets({ pass: [IN], fail: ['y/a -> x/a:81'] });
    cluster.place(pod('x/a'), { ports: ['web:81/TCP'] });
    cluster.commit();
    await expectPackets({ pass: ['y/a -> x/a:81'], fail: [IN] });
  });

  test('[10] sidecars count, and so does a name that two containers use', async () => {
    cluster.place(pod('x/a'), { ports: ['web:80/TCP'], initPorts: ['web:81/TCP'] });
    cluster.putPolicy(policy(ports('{port: web}')));
    cluster.commit();
    await expectPackets({ pass: [IN, 'y/a -> x/a:81'], fail: [`${IN}/udp`] });
  });
});

describe('changes', () => {
  test('[14] a pod that is no longer selected, or no longer a peer', async () => {
    cluster.putPolicy(policy(from('{podSelector: {matchLabels: {role: client}}}')));
    cluster.commit();
    await expectPackets({ fail: ['x/b -> x/a:80', 'x/c -> x/a:80'] });
    cluster.place(pod('x/b'), { labels: { role: 'client' } });
    cluster.place(pod('x/c'), { labels: { role: 'client' } });
    cluster.commit();
    await expectPackets({ pass: ['x/b -> x/a:80', 'x/c -> x/a:80'], fail: [IN] });
    cluster.place(pod('x/c'));
    cluster.commit();
    await expectPackets({ pass: ['x/b -> x/a:80'], fail: ['x/c -> x/a:80'] });
    cluster.place(pod('x/a'), { labels: { role: 'client' } });
    cluster.commit();
    await expectPackets({ pass: ['x/c -> x/a:80', IN] });
  });

  test('[15] a namespace with other labels', async () => {
    cluster.putPolicy(policy(from('{namespaceSelector: {matchLabels: {team: blue}}}')));
    cluster.commit();
    await expectPackets({ pass: [IN, 'y/b -> x/a:80'], fail: ['x/b -> x/a:80'] });
    cluster.putNamespace('y', { team: 'green' });
    cluster.putNamespace('x', { team: 'blue' });
    cluster.commit();
    await expectPackets({ fail: [IN, 'y/b -> x/a:80'], pass: ['x/b -> x/a:80', 'x/c -> x/a:80'] });
  });

  test('[16] the last policy gone ends isolation', async () => {
    const first = cluster.putPolicy(policy('ingress: []'));
    const second = cluster.putPolicy(policy(ports('{port: 81}'), 'q'));
    cluster.commit();
    await expectPackets({ fail: [IN], pass: ['y/a -> x/a:81'] });
    cluster.deletePolicy(first);
    cluster.commit();
    await expectPackets({ fail: [IN], pass: ['y/a -> x/a:81'] });
    cluster.deletePolicy(second);
    cluster.commit();
    await expectPackets({ pass: [IN] });
  });

  test('[17] the addresses of a pod that has ended are nobody’s', async () => {
    cluster.putPolicy(policy(from('{namespaceSelector: {}}')));
    cluster.commit();
    await expectPackets({ pass: [IN] });
    cluster.place(pod('y/a'), { phase: 'Succeeded' });
    cluster.commit();
    await expectPackets({ fail: [IN], pass: ['y/b -> x/a:80'] });
  });

  test('[18] an address that another pod has now', async () => {
    cluster.putPolicy(policy(from('{namespaceSelector: {matchLabels: {team: blue}}}')));
    cluster.commit();
    await expectPackets({ pass: [IN] });
    cluster.place(pod('y/a'), {}, 'x/new');
    cluster.commit();
    await expectPackets({ fail: [IN] });
  });
});

describe('who it is', () => {
  test('[19] a pod with the network of its node is no peer', async () => {
    cluster.putPod('x/host', { ips: ['192.0.2.2', '2001:db8::2'], node: 'n2', hostNetwork: true });
    cluster.putPolicy(policy(from('{podSelector: {}}')));
    cluster.commit();
    await expectPackets({ fail: ['node/n2 -> x/a:80'], pass: ['x/b -> x/a:80'] });
    cluster.deletePod('x/host');
  });

  test('[20] a pod reaches itself through its Service, however closed', async () => {
    cluster.putPolicy(policy('podSelector: {}, policyTypes: [Ingress, Egress]'));
    cluster.commit();
    const itself = ['x/a -> x/a:80', 'x/a -> x/a:81/udp', 'x/a -> x/a:80/tcp over IPv6'];
    await expectPackets({
      pass: [...itself, ...itself.map((text) => lab.services.byClusterIP(lab.ask(text)))],
      fail: [lab.services.byClusterIP(lab.ask('x/b -> x/a:80'))],
    });
  });

  test('[26] ICMP errors come back to a pod that nobody may reach', async () => {
    cluster.putPolicy(policy('policyTypes: [Ingress]'));
    cluster.commit();
    for (const family of [4, 6] as const) {
      const host = pod('y/a').ips[family];
      const probe = { from: pod('x/a').index, protocol: 'UDP', host, port: CLOSED_PORT } as const;
      expect(await lab.sockets.try([probe], 1000)).toEqual([{ kind: 'reset' }]);
    }
  });
});
