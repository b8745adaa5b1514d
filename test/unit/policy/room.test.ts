/** Whose policies are closed where there is no room for all: not those of others. */
import { expect, test } from 'vitest';
import { decodeNetworkPolicy } from '../../../src/kube/policy/decode-network-policy.ts';
import { parseIP } from '../../../src/net/ip.ts';
import type { PolicyChange } from '../../../src/policy/change.ts';
import { PolicyModel } from '../../../src/policy/model.ts';
import { namespaceChange, podChange, policyChange } from '../../support/policy-enforcer.ts';

const TENANTS = 950;

const many = <T>(count: number, make: (i: number) => T) =>
  Array.from({ length: count }, (_, i) => make(i));

function localPod(key: string, ip: string, labels: object, port: number): PolicyChange[] {
  const change = podChange(key, { ips: [ip], node: 'n0' });
  if (change.kind !== 'pod' || change.now === undefined) throw new Error(key);
  const ports = [{ name: 'web', protocol: 'TCP', port }] as const;
  const metadata = { ...change.now.metadata, labels: { ...labels } };
  const now = { key, uid: undefined, ips: [parseIP(ip)] };
  return [
    { ...change, now: { ...change.now, metadata, ports } },
    { kind: 'localPod', key, now },
  ];
}

/** Many pods of this node with a port of their own each, so that each is asked by itself; half of them `a`. */
function newModel(pods: number): PolicyModel {
  const model = new PolicyModel({ nodeName: 'n0', inside: [] });
  const changes = [
    ...['x', 'y'].map((name) => namespaceChange(name, { name })),
    ...many(TENANTS, (i) => [
      namespaceChange(`ns-${i}`, { name: `ns-${i}` }),
      podChange(`ns-${i}/p`, { ips: [`10.245.${i >> 8}.${i & 255}`], node: 'n1' }),
    ]).flat(),
    ...many(pods, (i) => {
      const labels = { pod: i % 2 === 0 ? 'a' : 'b', is: 'pod' };
      return localPod(`x/w${i}`, `10.244.9.${i}`, labels, 1_000 + i);
    }).flat(),
    ...localPod('y/a', '10.244.1.1', { is: 'pod' }, 80),
  ];
  for (const change of changes) model.apply(change);
  return model;
}

function policy(key: string, matchLabels: object, ingress: readonly unknown[]): PolicyChange {
  const [namespace, name] = key.split('/');
  const spec = { podSelector: { matchLabels }, policyTypes: ['Ingress'], ingress };
  const now = decodeNetworkPolicy({ metadata: { namespace, name }, spec }, 'strict');
  return { kind: 'networkPolicy', key, now };
}

const selectors = (count: number) =>
  many(count, (i) => ({
    from: [{ namespaceSelector: { matchLabels: { name: `ns-${i}` } } }],
    ports: [{ port: 'web' }, { port: 1 + (i % 7) }],
  }));

const ofAll = (peer: string) =>
  policyChange(`
    kind: ClusterNetworkPolicy
    metadata: {name: all}
    spec:
      tier: Admin
      priority: 10
      subject: {namespaces: {}}
      ingress:
        - action: Deny
          from: [{namespaces: ${peer}}]
          protocols: [{tcp: {destinationPort: {number: 22}}}]`);

test('a NetworkPolicy with too much does not close the policy of all', () => {
  const model = newModel(130);
  model.apply(ofAll('{matchExpressions: [{key: name, operator: NotIn, values: [y]}]}'));
  model.apply(policy('y/light', { is: 'pod' }, selectors(400)));
  model.apply(policy('x/big', { is: 'pod' }, selectors(900)));
  model.settle();
  expect(model.selections.problems().map((each) => each.policy)).toEqual(['x/big']);
});

test('what isolates pods weighs nothing: two that have room are not without it with a third', () => {
  const model = newModel(124);
  model.apply(policy('x/deny', {}, []));
  model.apply(policy('x/a', { pod: 'a' }, selectors(850)));
  model.apply(policy('x/b', { pod: 'b' }, selectors(850)));
  model.settle();
  expect(model.rows.size).toBeGreaterThan(100_000);
  expect(model.selections.problems()).toEqual([]);
});
