import { describe, expect, test } from 'vitest';
import { Proxier } from '../../../src/proxy/proxier.ts';
import type { OpenSession } from '../../../src/proxy/session.ts';
import { Audit, type AuditFinding } from '../../../src/util/audit.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { fakeProxyOptions, startFakeProxier, tell } from '../../support/fake-proxier.ts';
import { FakeKernel } from '../../support/fake-table.ts';
import { service, slice } from '../../support/proxy-objects.ts';

/** Something in every set: NodePorts, source ranges, policies, affinity, hairpins, no endpoints. */
const here = (ip: string) => ({ ip, nodeName: 'node-a' });
const port = { name: 'http', protocol: 'TCP', port: 80, nodePort: 30080 } as const;
const lb = service('lb', '172.30.0.1', {
  type: 'LoadBalancer',
  ports: [port],
  externalIPs: ['203.0.113.1'],
  externalTrafficPolicy: 'Local',
  sessionAffinity: 'ClientIP',
  loadBalancerSourceRanges: ['198.51.100.0/24', '10.9.0.0/16'],
});
const objects = {
  services: [
    { ...lb, status: { loadBalancer: { ingress: [{ ip: '203.0.113.2' }] } } },
    service('web', '172.30.0.2'),
    service('empty', '172.30.0.3'),
  ],
  slices: [
    slice({ service: 'lb', endpoints: [here('10.0.0.1'), '10.0.0.2', here('10.0.0.3')] }),
    slice({ service: 'web', endpoints: [here('10.0.0.4'), '10.0.0.5'] }),
  ],
};

/** What each part finds now, without those that find nothing. */
async function findings(proxier: Proxier): Promise<Readonly<Record<string, unknown>>> {
  const parts = proxier.auditedParts();
  const found = await Promise.all(parts.map(async ({ what, look }) => [what, await look()]));
  return Object.fromEntries(found.filter(([, differences]) => differences !== 0));
}

describe('what is compared', () => {
  test('nothing differs after a sync, and every set and chain is looked at', async () => {
    const kernel = new FakeKernel();
    await using running = await startFakeProxier(kernel, objects);
    expect(await findings(running.proxier)).toEqual({});
    const filled = [...kernel.sets].flatMap(([name, { size }]) => (size > 0 ? [name] : []));
    const places = running.proxier
      .auditedParts()
      .map(({ what }) => what.replace(/^(set|map) /, ''));
    expect(places).toEqual(
      expect.arrayContaining([...filled, 'chains', 'Services ns/lb to ns/empty']),
    );
    expect(filled.length).toBeGreaterThan(14);
  });

  test.each(['10.0.0.9', undefined])('nothing differs after changes: %s', async (ip) => {
    await using running = await startFakeProxier(new FakeKernel(), objects);
    const { proxier, sync } = running;
    tell(proxier, {
      kind: 'slice',
      now: slice({ service: 'lb', endpoints: ip === undefined ? [] : [ip] }),
    });
    tell(proxier, { kind: 'service', was: service('web', '172.30.0.2') });
    await sync();
    expect(await findings(proxier)).toEqual({});
  });

  test('an element that is missing, another one, or too much, in any set', async () => {
    const kernel = new FakeKernel();
    await using running = await startFakeProxier(kernel, objects);
    for (const [name, elements] of kernel.sets) {
      const [first] = elements;
      if (first === undefined || name === 'affinity') continue;
      const [identity, element] = first;
      const place = `${element.data === undefined ? 'set' : 'map'} ${name}`;
      elements.delete(identity);
      expect(await findings(running.proxier)).toEqual({ [place]: 1 });
      const other =
        element.data === undefined ? { ...element, comment: 'x' } : { ...element, data: 'x' };
      elements.set(identity, other);
      expect(await findings(running.proxier)).toEqual({ [place]: 1 });
      elements.set(identity, element).set('too much', { ...element, key: `${element.key}x` });
      expect(await findings(running.proxier)).toEqual({ [place]: 1 });
      elements.delete('too much');
    }
    expect(await findings(running.proxier)).toEqual({});
  });

  test.each(['check-clients', 'n2', 'masquerade-off-cluster'])(
    'rules of chain %s',
    async (name) => {
      const kernel = new FakeKernel();
      await using running = await startFakeProxier(kernel, objects);
      kernel.chains.set(name, { name, rules: [] });
      expect(await findings(running.proxier)).toEqual({ chains: 1 });
      kernel.chains.delete(name);
      expect(await findings(running.proxier)).toEqual({ chains: 1 });
    },
  );

  test('a Service that was programmed otherwise than it is known', async () => {
    const kernel = new FakeKernel();
    const { openSession, ...options } = fakeProxyOptions(kernel.open);
    /** Programs `web` as if it had no endpoints. */
    const mistaken: OpenSession = (settings) => {
      const session = openSession(settings);
      const program = session.program.bind(session);
      session.program = (some, groups, resolve) =>
        program(some, groups, (key) =>
          key === 'ns/web'
            ? resolve(key).map((each) => ({
                ...each,
                frontends: each.frontends.map((frontend) => ({
                  ...frontend,
                  route: { ...frontend.route, endpoints: [], weights: undefined },
                })),
              }))
            : resolve(key),
        );
      return session;
    };
    const proxier = new Proxier(4, { ...options, openSession: mistaken });
    for (const object of objects.services) tell(proxier, { kind: 'service', now: object });
    for (const object of objects.slices) tell(proxier, { kind: 'slice', now: object });
    proxier.setSynced();
    await proxier.sync();
    expect(await findings(proxier)).toEqual({ 'Services ns/lb to ns/empty': 1 });
    await proxier.stop();
  });
});

describe('while changes are on their way', () => {
  test('nothing is known before the first sync, and what is suspect is not compared', async () => {
    const kernel = new FakeKernel();
    const proxier = new Proxier(4, fakeProxyOptions(kernel.open));
    expect(proxier.auditedParts()).toEqual([]);
    proxier.setSynced();
    await proxier.sync();
    const [part] = proxier.auditedParts();
    expect(await part?.look()).toBe(0);
    proxier.resync();
    expect(await part?.look()).toBe('unsettled');
    await proxier.stop();
  });

  test('a look waits for the sync in progress, and a sync that waits ends a listing', async () => {
    const kernel = new FakeKernel();
    await using running = await startFakeProxier(kernel, objects);
    const { proxier } = running;
    const looks = proxier.auditedParts().filter(({ what }) => what === 'map endpoints');
    const before = looks[0]?.look();
    const sync = proxier.sync();
    expect(await before).toBe('unsettled');
    tell(proxier, { kind: 'slice', now: slice({ service: 'web', endpoints: ['10.0.0.7'] }) });
    await sync;
    expect(await looks[0]?.look()).toBe(0);
  });
});

test('what nobody told of is found, counted and put right', async () => {
  const kernel = new FakeKernel();
  const clock = new FakeClock();
  await using running = await startFakeProxier(kernel, objects, { clock });
  const { proxier } = running;
  const findingsOf: AuditFinding[] = [];
  const audit = new Audit({
    clock,
    parts: () => proxier.auditedParts(),
    onDifference: (finding) => {
      findingsOf.push(finding);
      proxier.resync();
    },
    onError: (_what, error) => {
      throw error;
    },
  });
  audit.start();
  const wanted = [...kernel.elements('endpoints')];
  kernel.sets.get('endpoints')?.clear();
  for (let passed = 0; passed < 260_000; passed += 500) {
    clock.advance(500);
    await new Promise(setImmediate);
  }
  expect(new Set(kernel.elements('endpoints'))).toEqual(new Set(wanted));
  expect(findingsOf.map(({ what, differences }) => [what, differences])).toEqual([
    ['map endpoints', wanted.length],
  ]);
  expect(audit.report.comparedAtMs).toBeDefined();
  await audit.stop();
});
