/** Whoever asks who may talk to whom is told what is enforced, however little was told since. */
import { expect, test, vi } from 'vitest';
import { decodeNetworkPolicy } from '../../../src/kube/policy/decode-network-policy.ts';
import { parseIP } from '../../../src/net/ip.ts';
import { Enforcer, type EnforcerOptions } from '../../../src/policy/enforcer.ts';
import { Subjects } from '../../../src/policy/subjects.ts';
import { createLogger } from '../../../src/util/log.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { namespaceChange, podChange } from '../../support/policy-enforcer.ts';

function newEnforcer(): Enforcer {
  const never = () => {
    throw new Error('nothing is to reach the kernel');
  };
  return new Enforcer({
    nodeName: 'n0',
    connection: { close: never } as unknown as EnforcerOptions['connection'],
    events: { onTables: () => ({ close() {} }) },
    conntrack: { flows: never, clearMarks: never },
    clock: new FakeClock(),
    log: createLogger('silent'),
    settings: { deniedInside: 'drop', clusterCIDRs: [], logGroup: undefined },
  });
}

/** Too many together. */
const policies = Array.from({ length: 40 }, (_, seed) => {
  const ingress = Array.from({ length: 70 }, (_, i) => {
    const cidr = `10.${(seed * 31) % 256}.${(i * 37 + seed) % 256}.0/${9 + (i % 16)}`;
    return { from: [{ ipBlock: { cidr } }], ports: [{ port: 1 + i }] };
  });
  const spec = { podSelector: {}, policyTypes: ['Ingress'], ingress };
  const metadata = { namespace: 'x', name: `p${seed}` };
  return decodeNetworkPolicy({ metadata, spec }, 'strict');
});

test('policies that are closed, or open again, since the last question are so in the answer', () => {
  const enforcer = newEnforcer();
  const closed = () => enforcer.world().evaluator.problems().length;
  const settle = () => enforcer.needsAllPods();
  const now = { key: 'x/a', uid: undefined, ips: [parseIP('10.244.0.2')] };
  enforcer.apply(namespaceChange('x', {}));
  enforcer.apply(podChange('x/a', { ips: ['10.244.0.2'], node: 'n0' }));
  enforcer.apply({ kind: 'localPod', key: 'x/a', now });
  for (const each of policies) {
    enforcer.apply({ kind: 'networkPolicy', key: `x/${each.metadata.name}`, now: each });
  }
  expect(closed()).toBe(0);
  settle();
  expect(enforcer.report.overBudget).toBeGreaterThan(0);
  expect(closed()).toBe(enforcer.report.overBudget);
  expect(enforcer.world()).toBe(enforcer.world());
  const problems = enforcer.world().evaluator.problems();
  const isClosed = (name: string) => problems.some(({ policy }) => policy === `x/${name}`);
  for (const { metadata } of policies) {
    if (isClosed(metadata.name)) continue;
    enforcer.apply({ kind: 'networkPolicy', key: `x/${metadata.name}` });
  }
  expect(closed()).toBe(problems.length);
  settle();
  expect(enforcer.report.overBudget).toBeLessThan(problems.length);
  expect(closed()).toBe(enforcer.report.overBudget);
});

test('what cannot be settled is said, and no half of it is committed', async () => {
  const enforcer = newEnforcer();
  const now = { key: 'x/a', uid: undefined, ips: [parseIP('10.244.0.2')] };
  enforcer.apply(namespaceChange('x', {}));
  enforcer.apply(podChange('x/a', { ips: ['10.244.0.2'], node: 'n0' }));
  enforcer.apply({ kind: 'localPod', key: 'x/a', now });
  const broken = vi.spyOn(Subjects.prototype, 'set').mockImplementation(() => {
    throw new Error('it is broken');
  });
  expect(() => enforcer.commit()).toThrow('it is broken');
  expect(enforcer.report.error).toBe('it is broken');
  await expect(enforcer.prepare()).rejects.toThrow('it is broken');
  broken.mockRestore();
  expect(() => enforcer.commit()).toThrow('it is broken');
  for (const each of policies.slice(0, 1)) {
    enforcer.apply({ kind: 'networkPolicy', key: `x/${each.metadata.name}`, now: each });
  }
  await enforcer.prepare();
  enforcer.commit();
  expect(enforcer.report).toMatchObject({ policies: 1, subjects: 1 });
});
