/** Whose policies are closed where there is no room for all: not those of others. */
import { expect, test, vi } from 'vitest';
import { decodeNetworkPolicy } from '../../../src/kube/policy/decode-network-policy.ts';
import { parseIP } from '../../../src/net/ip.ts';
import type { PolicyChange } from '../../../src/policy/change.ts';
import { PolicyModel } from '../../../src/policy/model.ts';
import { Room } from '../../../src/policy/room.ts';
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

test('what others made heavy is open again when they are gone', () => {
  const model = newModel(130);
  const blocks = many(900, (i) => ({
    from: [{ ipBlock: { cidr: `10.9.${i >> 7}.${2 * (i & 127)}/32` } }],
    ports: [{ port: 1 + i }],
  }));
  model.apply(policy('y/blocks', { is: 'pod' }, blocks));
  const from = [{ ipBlock: { cidr: '10.0.0.0/8' } }];
  model.apply(policy('x/one', {}, [{ from, ports: [{ port: 'web' }] }]));
  const closed = () => model.selections.problems().map((each) => each.policy);
  model.settle();
  expect(closed()).toEqual(['x/one']);
  const close = vi.spyOn(Room.prototype, 'close');
  model.apply({ kind: 'node', key: 'n7' });
  model.settle();
  expect(close).not.toHaveBeenCalled();
  close.mockRestore();
  expect(closed(), 'not for nothing').toEqual(['x/one']);
  model.apply({ kind: 'networkPolicy', key: 'y/blocks' });
  model.settle();
  expect(closed()).toEqual([]);
});

test('where none is too heavy by what is there, each is closed before all is let in', () => {
  const room = new Room();
  const extent = { pods: 1, sets: 1, classes: 1, identities: 1, elements: 1 };
  const weights = new Map([
    ['NetworkPolicy x/a', 120_000],
    ['NetworkPolicy x/b', 10],
    ['NetworkPolicy x/nothing', 0],
  ]);
  const overload = { excess: -1, factor: 3, weights };
  expect(room.close(overload, extent, false)).toBe(false);
  expect(room.close(overload, extent, true)).toBe(true);
  expect([...room.closed()]).toEqual(['NetworkPolicy x/a', 'NetworkPolicy x/b']);
  expect(room.close(overload, extent, true)).toBe(false);
});
