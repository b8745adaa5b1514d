import { expect, test } from 'vitest';
import { measurePolicyCold } from '../bench/policy-cold.ts';

test('what is measured is in the kernel: a start, and changes of each kind', async () => {
  const size = { localPods: 20, remotePods: 10, policies: 5 };
  const row = await measurePolicyCold(size, { events: 6, rounds: 1 });
  expect(row.elements).toBeGreaterThan(size.localPods);
  for (const ms of [row.wallMs, row.cpuMs, row.kernelMs]) expect(ms).toBeGreaterThan(0);
  const kernel = Object.fromEntries(row.changes.map((each) => [each.kind, each.kernelMedianMs]));
  // A pod that is replaced by itself is nothing new.
  expect(Object.keys(kernel).sort()).toEqual(['labels', 'pod', 'policy']);
  expect(kernel['policy']).toBeGreaterThan(0);
});
