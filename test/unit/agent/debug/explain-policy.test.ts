import { afterEach, describe, expect, test } from 'vitest';
import { type ExplainSources, explain } from '../../../../src/agent/debug/explain.ts';
import { explainText } from '../../../../src/agent/debug/explain-text.ts';
import type { NamedPacket } from '../../../../src/agent/debug/named-packet.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { ServiceProxy } from '../../../../src/proxy/service-proxy.ts';
import { fakeNode } from '../../../support/fake-node.ts';
import { fakeProxyOptions } from '../../../support/fake-proxier.ts';
import { FakeKernel } from '../../../support/fake-table.ts';
import { nodeObject, podObject, policyCluster } from '../../../support/policy-objects.ts';
import { service, slice } from '../../../support/proxy-objects.ts';

let proxy: ServiceProxy;

afterEach(() => proxy.stop());

const WEB = `
kind: NetworkPolicy
metadata: {namespace: ns, name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {matchLabels: {pod: friend}}}], ports: [{port: web}]}]
`;
const PODS = [
  podObject('ns/web-1', {
    ...{ ips: ['10.1.0.3', 'fd00::3'], labels: { app: 'web' }, ports: ['web:8080/TCP'] },
  }),
  // Not behind the policy.
  podObject('ns/other', { ips: ['10.1.0.4'] }),
  podObject('ns/friend', { ips: ['10.1.0.5', 'fd00::5'] }),
  podObject('ns/client', { ips: ['10.1.0.6'] }),
  podObject('ns/new'),
  podObject('ns/six', { ips: ['fd00::6'] }),
];

/** `ns/web` has the endpoints ns/web-1 and ns/other. */
function start({ hasPolicies = true, policies = [WEB] } = {}): ExplainSources {
  proxy = new ServiceProxy({
    families: [4, 6],
    ...fakeProxyOptions(new FakeKernel().open),
    localDetection: { kind: 'cidrs', cidrs: [parseCidr('10.0.0.0/8')] },
  });
  const ports = [
    { name: 'http', protocol: 'TCP', port: 80 },
    { name: 'dns', protocol: 'UDP', port: 53 },
  ] as const;
  proxy.apply({ kind: 'service', now: service('web', '172.30.0.1', { ports }) });
  proxy.apply({
    kind: 'slice',
    now: slice({ service: 'web', endpoints: ['10.1.0.3', '10.1.0.4'] }),
  });
  proxy.setSynced();
  const nodes = [nodeObject('node-a', ['192.168.0.1'])];
  const { world } = policyCluster({ namespaces: { ns: {} }, nodes, pods: PODS, policies });
  return {
    snapshots: () => proxy.snapshots(),
    openNode: () => fakeNode(),
    mode: 'nftables',
    policyWorld: hasPolicies ? () => world : undefined,
    partyOf: (name) => {
      const party = world.parties.resolve(name);
      if ('problem' in party) return undefined;
      return { ips: party.ips, ports: party.kind === 'pod' ? party.ports : [] };
    },
    podMasquerades: () => new Map(),
    filterTables: () => Promise.resolve([]),
    wait: () => Promise.resolve(),
    explainLive: () => Promise.resolve(undefined),
  };
}

function ask(
  sources: ExplainSources,
  [from, to, port]: readonly [string, string, string],
  protocol: NamedPacket['protocol'] = 'tcp',
) {
  const packet = { from, to, port, protocol };
  const request = { command: 'explain', packet, liveTimeoutMs: undefined } as const;
  return explain(request, sources, new AbortController().signal);
}

describe('names', () => {
  test.each([
    [['ns/client', 'ns/web', 'http'], 'tcp', '10.1.0.6', '172.30.0.1', 80],
    [['ns/client', 'ns/web', '80'], 'tcp', '10.1.0.6', '172.30.0.1', 80],
    [['ns/client', 'ns/web', 'dns'], 'udp', '10.1.0.6', '172.30.0.1', 53],
    [['10.1.0.6', 'ns/web', 'http'], 'tcp', '10.1.0.6', '172.30.0.1', 80],
    [['ns/client', 'ns/web-1', 'web'], 'tcp', '10.1.0.6', '10.1.0.3', 8080],
    [['ns/client', 'ns/web-1', '9'], 'tcp', '10.1.0.6', '10.1.0.3', 9],
    [['node/node-a', 'ns/web-1', '9'], 'tcp', '192.168.0.1', '10.1.0.3', 9],
    [['ns/client', 'node/node-a', '30080'], 'tcp', '10.1.0.6', '192.168.0.1', 30_080],
    [['ns/six', 'ns/web-1', '9'], 'tcp', 'fd00::6', 'fd00::3', 9],
  ] as const)('%j over %s', async (names, protocol, source, destination, port) => {
    const { explanation } = await ask(start(), names, protocol);
    expect(explanation.packet).toEqual({ source, destination, protocol, port });
  });

  test.each([
    [
      ['ns/nobody', 'ns/web', 'http'],
      'ENOENT',
      'no pod or Service ns/nobody that this agent knows',
    ],
    [['ns/client', 'ns/nobody', '80'], 'ENOENT', 'no pod or Service ns/nobody'],
    [['ns/client', 'node/b', '80'], 'ENOENT', 'no Node node/b'],
    [
      ['ns/client', 'ns/web', '81'],
      'EINVAL',
      'Service ns/web has no port 81/tcp; it has http 80/tcp, dns 53/udp',
    ],
    [['ns/client', 'ns/web-1', 'http'], 'EINVAL', 'ns/web-1 has no port "http"'],
    [['ns/client', 'ns/web-1', '70000'], 'EINVAL', 'ns/web-1 has no port "70000"'],
    [['ns/client', '10.1.0.3', 'http'], 'EINVAL', '10.1.0.3 has no port "http"'],
    [['ns/new', 'ns/web', 'http'], 'EINVAL', 'ns/new has no address yet'],
    [['ns/client', 'ns/new', '80'], 'EINVAL', 'ns/new has no address for port 80'],
    [['ns/six', 'ns/web', 'http'], 'EINVAL', 'ns/six and ns/web have no address family in common'],
  ] as const)('%j is refused', async (names, code, message) => {
    const attempt = ask(start(), names);
    await expect(attempt).rejects.toMatchObject({ code });
    await expect(attempt).rejects.toThrow(message);
  });
});

describe('policies', () => {
  test('are asked at every endpoint of a Service, as it is after DNAT', async () => {
    const { policies } = await ask(start(), ['ns/client', 'ns/web', 'http']);
    expect(policies).toEqual([
      {
        ...{ ip: '10.1.0.3', port: 8080, name: 'ns/web-1', isAllowed: false, deniedBy: 'ns/web-1' },
        reason:
          'ingress: NetworkPolicy ns/web isolates ns/web-1 and allows no TCP 8080 from ns/client',
      },
      {
        ...{ ip: '10.1.0.4', port: 8080, name: 'ns/other', isAllowed: true },
        reason: 'egress: no policy selects ns/client; ingress: no policy selects ns/other',
      },
    ]);
  });

  test('of an endpoint that is no pod known here nobody can say all', async () => {
    const sources = start();
    proxy.apply({ kind: 'slice', now: slice({ service: 'web', endpoints: ['10.9.0.9'] }) });
    const { policies } = await ask(sources, ['ns/client', 'ns/web', 'http']);
    expect(policies).toMatchObject([
      {
        ...{ name: '10.9.0.9', isAllowed: true },
        reason:
          'egress: no policy selects ns/client; ' +
          'the pod there is not known here, and its own node may deny it',
      },
    ]);
  });

  test('are asked where there is no Service', async () => {
    const { policies } = await ask(start(), ['ns/friend', 'ns/web-1', 'web']);
    expect(policies).toMatchObject([{ name: 'ns/web-1', isAllowed: true }]);
  });

  test('are not asked where nothing is reached, nor by an agent without them', async () => {
    const refused = await ask(start(), ['ns/client', 'ns/web', 'dns'], 'udp');
    expect(refused.explanation.verdict.kind).toBe('reject');
    expect(refused.policies).toEqual([]);
    const without = await ask(start({ hasPolicies: false }), ['ns/client', 'ns/web', 'http']);
    expect(without).not.toHaveProperty('policies');
  });

  test.each([
    ['some-denied', ['ns/client', 'ns/web', 'http'], [WEB]],
    ['denied', ['ns/client', 'ns/web-1', '8080'], [WEB]],
    ['allowed', ['ns/friend', 'ns/web-1', 'web'], [WEB]],
    [
      'denied-egress',
      ['ns/client', '203.0.113.9', '443'],
      [
        '{kind: NetworkPolicy, metadata: {namespace: ns, name: closed}, spec: {policyTypes: [Egress]}}',
      ],
    ],
  ] as const)('in words: %s', async (name, names, policies) => {
    const text = explainText(await ask(start({ policies: [...policies] }), names));
    await expect(text).toMatchFileSnapshot(`explain/policy-${name}.txt`);
  });
});
