/** A ClusterNetworkPolicy that selects every pod comes and goes; what it says nothing about stays as it is. */
import { expect, test } from 'vitest';
import { PolicyModel } from '../../../src/policy/model.ts';
import { BENCH_NODE, benchChanges } from '../../bench/policy-world.ts';
import { policyChange } from '../../support/policy-enforcer.ts';

const SIZE = { localPods: 60, remotePods: 60, policies: 20 };

const newModel = () => new PolicyModel({ nodeName: BENCH_NODE, inside: [] });

const ofAll = (action: string, subject = 'namespaces: {}') =>
  policyChange(`
    kind: ClusterNetworkPolicy
    metadata: {name: all}
    spec:
      tier: Admin
      priority: 10
      subject: {${subject}}
      ingress:
        - action: ${action}
          from: [{namespaces: {matchLabels: {group: g1}}}]
          protocols: [{tcp: {destinationPort: {number: 9999}}}]`);

function lines(model: PolicyModel): readonly string[] {
  return [...model.book.content()]
    .flatMap(([set, elements]) => elements.map((each) => JSON.stringify([set, each])))
    .sort();
}

/** Elements that differ, by set. */
function changed(model: PolicyModel): ReadonlyMap<string, number> {
  return new Map(
    model.book.changes().map(({ set, remove, add }) => [set, remove.length + add.length]),
  );
}

function beginningWith(...changes: Parameters<PolicyModel['apply']>[0][]): PolicyModel {
  const model = newModel();
  for (const change of changes) model.apply(change);
  model.settle();
  return model;
}

test.each(['namespaces: {}', 'pods: {namespaceSelector: {}, podSelector: {}}'])('%s', (subject) => {
  const everything = benchChanges(SIZE);
  const model = beginningWith(...everything);
  model.book.settle();
  const before = lines(model);

  model.apply(ofAll('Deny', subject));
  expect(model.settle(), 'somebody may have lost something').toBe(true);
  const comes = changed(model);
  // Pods that no policy had selected are subjects now; the others keep what they have.
  expect(model.subjects.count).toBe(SIZE.localPods);
  expect(comes.get('subjects-ingress-ip')).toBe(SIZE.localPods - selectedIn(before));
  expect(comes.has('subjects-egress-ip')).toBe(false);
  expect(comes.has('roles-egress')).toBe(false);
  model.book.settle();
  expect(lines(model)).toEqual(lines(beginningWith(...everything, ofAll('Deny', subject))));

  model.apply(ofAll('Accept', subject));
  model.settle();
  expect(changed(model).has('subjects-ingress-ip')).toBe(false);
  model.book.settle();

  model.apply({ kind: 'clusterNetworkPolicy', key: 'all' });
  model.settle();
  expect(lines(model)).toEqual(before);
});

function selectedIn(all: readonly string[]): number {
  return all.filter((line) => line.startsWith('["subjects-ingress-ip",')).length;
}
