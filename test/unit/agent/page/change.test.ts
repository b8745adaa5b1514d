import fc from 'fast-check';
import { expect, test } from 'vitest';
import { byName } from '../../../../src/agent/page/by-name.ts';
import { changeBetween } from '../../../../src/agent/page/change.ts';
import type { UiSnapshot } from '../../../../src/agent/page/snapshot.ts';
import { applyChange } from '../../../../src/ui/apply.ts';
import { denial, pod, service, smallNode } from '../../../support/page/snapshots.ts';

const small = smallNode();

test('nothing differs: nothing is told', () => {
  expect(changeBetween(small, structuredClone(small))).toBeUndefined();
});

test('what differs is told whole, what is gone by its key, the rest not at all', () => {
  const [first, ...others] = small.services;
  const busier = others.map((each) =>
    each.key === 'shop/web' ? { ...each, perSecond: 99 } : each,
  );
  const change = changeBetween(small, { ...small, services: busier });
  expect(change).toEqual({
    services: { put: busier.filter(({ key }) => key === 'shop/web'), gone: [first?.key] },
  });
});

test('lists about which nothing is said stay the same values', () => {
  const after = applyChange(small, { pods: { put: [], gone: ['shop/db-0'] } });
  expect(after.services).toBe(small.services);
  expect(after.pods.map(({ key }) => key)).not.toContain('shop/db-0');
});

test('a page that applies every change has what the agent has', () => {
  const names = fc.uniqueArray(fc.constantFrom('a/1', 'a/2', 'a/10', 'b/1', 'b/2'));
  const snapshots = fc
    .record({ pods: names, services: names, rate: fc.nat(3), denials: fc.nat(5), from: fc.nat(5) })
    .map(
      ({ pods, services, rate, denials, from }): UiSnapshot => ({
        ...small,
        pods: pods.toSorted(byName).map((key) => pod(key, '10.244.1.2')),
        services: services
          .toSorted(byName)
          .map((key) => service(key, '10.96.0.1', [], { perSecond: rate })),
        denials: Array.from({ length: denials }, (_, i) =>
          denial(String(from + i), 'a/1', 'b/1', ''),
        ).reverse(),
      }),
    );
  fc.assert(
    fc.property(snapshots, snapshots, (before, after) => {
      const change = changeBetween(before, after);
      expect(change === undefined ? before : applyChange(before, change)).toEqual(after);
    }),
  );
});
