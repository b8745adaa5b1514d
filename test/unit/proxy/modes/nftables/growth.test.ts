import { expect, test } from 'vitest';
import type { Service } from '../../../../../src/kube/types.ts';
import { startFakeProxier } from '../../../../support/fake-proxier.ts';
import { FakeKernel } from '../../../../support/fake-table.ts';
import { service, slice } from '../../../../support/proxy-objects.ts';

const affinity = {
  sessionAffinity: 'ClientIP',
  sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
} as const;

/** Every thing a Service can ask for, in turn. */
const specs: readonly Partial<Service['spec']>[] = [
  {},
  { internalTrafficPolicy: 'Local' },
  { externalTrafficPolicy: 'Local' },
  { externalTrafficPolicy: 'Local', ...affinity },
  { internalTrafficPolicy: 'Local', ...affinity },
  { loadBalancerSourceRanges: ['203.0.113.0/24', '192.0.2.0/24'] },
  affinity,
];
const annotations: readonly Record<string, string>[] = [
  {},
  { 'weft.dev/weights': 'node/node-a=2' },
  { 'weft.dev/balance': 'source-hash' },
];

const address = (net: string, i: number) => `${net}.${i >> 8}.${i & 255}`;

function objectsOf(count: number) {
  const numbers = Array.from({ length: count }, (_, i) => i);
  return {
    services: numbers.map((i): Service => {
      const object = service(`s${i}`, address('172.30', i), {
        type: 'LoadBalancer',
        ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 10_000 + i }],
        externalIPs: [address('198.18', i)],
        ...specs[i % specs.length],
      });
      const metadata = { ...object.metadata, annotations: annotations[i % annotations.length] };
      const ingress = [{ ip: address('198.19', i) }];
      return { ...object, metadata, status: { loadBalancer: { ingress } } };
    }),
    slices: numbers.map((i) =>
      slice({ service: `s${i}`, endpoints: [{ ip: '10.0.0.1', nodeName: 'node-a' }, '10.0.0.2'] }),
    ),
  };
}

const everything = specs.length * annotations.length;

test.each([everything, 10 * everything])(
  'chains, rules and sets are as many for %i Services that use everything',
  async (count) => {
    const kernel = new FakeKernel();
    await using _ = await startFakeProxier(kernel, objectsOf(count));
    expect(kernel.elements('cluster-ips')).toHaveLength(count);
    expect(kernel.structure).toEqual({ chains: 37, rules: 87, sets: 23 });
  },
);
