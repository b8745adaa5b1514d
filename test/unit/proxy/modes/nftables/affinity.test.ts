import { describe, expect, test } from 'vitest';
import type { Service } from '../../../../../src/kube/types.ts';
import { readIPBytes, readU32Bytes } from '../../../../../src/nftables/bytes.ts';
import { readAffinityId } from '../../../../../src/proxy/modes/nftables/affinity-rules.ts';
import { frontendElements, startFakeProxier, tell } from '../../../../support/fake-proxier.ts';
import { FakeKernel } from '../../../../support/fake-table.ts';
import { service, slice } from '../../../../support/proxy-objects.ts';

const affinity = (timeoutSeconds: number) => ({
  sessionAffinity: 'ClientIP' as const,
  sessionAffinityConfig: { clientIP: { timeoutSeconds } },
});
const web = (spec: Partial<Service['spec']> = affinity(600)) =>
  service('web', '172.30.0.1', {
    type: 'NodePort',
    ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30_080 }],
    ...spec,
  });
const here = { ip: '10.0.0.1', nodeName: 'node-a' };
const there = { ip: '10.0.0.2', nodeName: 'node-b' };
const slices = (...endpoints: readonly (typeof here)[]) => slice({ service: 'web', endpoints });

/** The numbers of all frontends. */
const idsIn = (kernel: FakeKernel) =>
  ['affinity-ids', 'affinity-nodeport-ids'].flatMap((set) =>
    kernel.elements(set).map(({ data = '' }) => readAffinityId(data)),
  );

/** Number and address of who may be remembered. */
const affineIn = (kernel: FakeKernel, set: 'affine-endpoints' | 'affine-local-endpoints') =>
  kernel.elements(set).map(({ key }) => `${readU32Bytes(key, 0)} ${readIPBytes(key, 4, 4)}`);

describe('session affinity', () => {
  test('all frontends of a ServicePort have one number, two ServicePorts have two', async () => {
    const kernel = new FakeKernel();
    const other = service('other', '172.30.0.2', affinity(600));
    await using _ = await startFakeProxier(kernel, { services: [web(), other] });
    const [id, otherId, nodePortId] = idsIn(kernel);
    expect([nodePortId === id, otherId === id]).toEqual([true, false]);
  });

  test('internal Local: the clusterIP leads to remembered endpoints here only', async () => {
    const kernel = new FakeKernel();
    const spec = { ...affinity(600), internalTrafficPolicy: 'Local' } as const;
    const objects = { services: [web(spec)], slices: [slices(here, there)] };
    await using _ = await startFakeProxier(kernel, objects);
    expect(frontendElements(kernel, '172.30.0.1 tcp 80')[0]).toBe(
      'service-ips goto n1-local-affinity-600',
    );
    expect(affineIn(kernel, 'affine-endpoints')).toEqual(['1 10.0.0.1', '1 10.0.0.2']);
    expect(affineIn(kernel, 'affine-local-endpoints')).toEqual(['1 10.0.0.1']);
  });

  test('an endpoint that goes may not be remembered', async () => {
    const kernel = new FakeKernel();
    const objects = { services: [web()], slices: [slices(here, there)] };
    await using fake = await startFakeProxier(kernel, objects);
    tell(fake.proxier, { kind: 'slice', now: slices(here) });
    await fake.sync();
    expect(affineIn(kernel, 'affine-endpoints')).toEqual(['1 10.0.0.1']);
  });

  test.each([
    { name: 'another timeout', spec: affinity(60), want: 'service-ips goto n2-affinity-60' },
    { name: 'none', spec: {}, want: 'service-ips goto n2' },
  ])('changes by verdict: $name', async ({ spec, want }) => {
    const kernel = new FakeKernel();
    const objects = { services: [web()], slices: [slices(here, there)] };
    await using fake = await startFakeProxier(kernel, objects);
    tell(fake.proxier, { kind: 'service', now: web(spec) });
    await fake.sync();
    expect(frontendElements(kernel, '172.30.0.1 tcp 80')[0]).toBe(want);
    expect(kernel.elements('endpoints')).toHaveLength(2);
    expect(kernel.changes.flatMap(({ elements }) => elements.map(({ set }) => set))).not.toContain(
      'endpoints',
    );
  });

  test('numbers survive a restart, whatever came in between', async () => {
    const kernel = new FakeKernel();
    const other = service('aaa', '172.30.0.2', affinity(600));
    await using first = await startFakeProxier(kernel, { services: [web()] });
    const before = idsIn(kernel)[0];
    await first.proxier.stop();
    await using _ = await startFakeProxier(kernel, { services: [other, web()] });
    expect(idsIn(kernel).filter((id) => id === before)).toHaveLength(2);
    expect(new Set(idsIn(kernel)).size).toBe(2);
  });

  test.each([
    { seconds: 0, want: 'n1-affinity-1' },
    { seconds: 2_000_000_000, want: 'n1-affinity-86400' },
  ])('$seconds seconds are kept within what the API server admits', async ({ seconds, want }) => {
    const kernel = new FakeKernel();
    const objects = { services: [web(affinity(seconds))], slices: [slices(here)] };
    await using _ = await startFakeProxier(kernel, objects);
    expect(kernel.chains.has(want)).toBe(true);
  });
});
