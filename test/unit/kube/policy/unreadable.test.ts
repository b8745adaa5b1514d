/** A policy that cannot be read closes whom it selects, or says what it said before; it is named. */
import { expect, test } from 'vitest';
import { clusterNetworkPolicies, networkPolicies } from '../../../../src/kube/policy/resources.ts';
import { compileClusterPolicy, compileNetworkPolicy } from '../../../../src/policy/compiled.ts';
import { podObject, policyCluster } from '../../../support/policy-objects.ts';

const metadata = { namespace: 'x', name: 'p', resourceVersion: '7' };
const GOOD = { metadata, spec: { podSelector: { matchLabels: { pod: 'a' } }, ingress: [{}] } };
const BAD_RULE = {
  metadata: { ...metadata, resourceVersion: '8' },
  spec: { podSelector: { matchLabels: { pod: 'a' } }, ingress: [{ ports: [{ port: {} }] }] },
};
const BAD_SELECTOR = { metadata, spec: { podSelector: 7 } };
const CLUSTER = {
  metadata: { name: 'c' },
  spec: {
    tier: 'Admin',
    priority: 3,
    subject: { namespaces: {} },
    ingress: [{ action: 'Accept' }],
  },
};

const read = (raw: unknown) => networkPolicies.decode(raw, 'lenient');
const standIn = (raw: unknown, known?: ReturnType<typeof read>) =>
  networkPolicies.whenUnreadable?.(raw, 'spec.x: must be y', known);

function partyOf(key: string) {
  const { world } = policyCluster({
    namespaces: { x: {} },
    pods: [podObject(key, {})],
    policies: [],
  });
  const [pod] = world.parties.pods();
  if (pod === undefined) throw new Error(key);
  return pod;
}

test('it closes whom it selects', () => {
  expect(() => read(BAD_RULE)).toThrow();
  const compiled = compileNetworkPolicy(standIn(BAD_RULE) ?? read(GOOD));
  expect(compiled.rules).toEqual({ ingress: [], egress: [] });
  expect([partyOf('x/a'), partyOf('x/b')].map(compiled.isSubject)).toEqual([true, false]);
  expect(compiled.problems).toEqual([
    'it cannot be read (spec.x: must be y): it closes whom it selects',
  ]);
});

test('where that cannot be read, its namespace', () => {
  const compiled = compileNetworkPolicy(standIn(BAD_SELECTOR) ?? read(GOOD));
  expect([partyOf('x/b'), partyOf('y/b')].map(compiled.isSubject)).toEqual([true, false]);
  expect(compiled.problems[0]).toContain('it closes its namespace');
});

test('what it said before holds, as often as it cannot be read', () => {
  const known = read(GOOD);
  const first = standIn(BAD_RULE, known);
  expect(first).toMatchObject({ rules: known.rules, metadata: { resourceVersion: '8' } });
  expect(standIn(BAD_RULE, first)?.rules).toEqual(known.rules);
  expect(compileNetworkPolicy(first ?? known).problems[0]).toContain('what it said before holds');
});

test('a ClusterNetworkPolicy denies whom it selects, in the directions that it has rules for', () => {
  expect(() => clusterNetworkPolicies.decode(CLUSTER, 'lenient')).toThrow();
  const made = clusterNetworkPolicies.whenUnreadable?.(CLUSTER, 'no from', undefined);
  if (made === undefined) throw new Error('nothing');
  const { rules, problems, tier } = compileClusterPolicy(made);
  expect(tier).toBe('Admin');
  expect(rules).toEqual({
    ingress: [{ action: 'Deny', name: undefined, peers: 'everybody', ports: 'everything' }],
    egress: [],
  });
  expect(problems).toEqual(['it cannot be read (no from): it closes whom it selects']);
});

test('without a name nothing stands for it', () => {
  expect(standIn({ spec: {} })).toBeUndefined();
});
