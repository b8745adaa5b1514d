import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { EndpointSlice, Service } from '../../../src/kube/types.ts';
import { parseCidr } from '../../../src/net/cidr.ts';
import { type IP, type IPFamily, parseIP } from '../../../src/net/ip.ts';
import { ipBytes, portBytes, protocolBytes, readIPBytes } from '../../../src/nftables/bytes.ts';
import type { NodeFacts } from '../../../src/proxy/node-addresses.ts';
import { Proxier, type ProxierOptions } from '../../../src/proxy/proxier.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { fakeProxyOptions, tell } from '../../support/fake-proxier.ts';
import { FakeKernel } from '../../support/fake-table.ts';
import { type EndpointText, service, slice } from '../../support/proxy-objects.ts';

const VIP = '172.30.0.1';
const running: Proxier[] = [];

function start(kernel: FakeKernel, options: Partial<ProxierOptions> = {}, family: IPFamily = 4) {
  const proxier = new Proxier(family, { ...fakeProxyOptions(kernel.open), ...options });
  running.push(proxier);
  return proxier;
}

async function sync(proxier: Proxier, kernel: FakeKernel): Promise<void> {
  kernel.changes.length = 0;
  await proxier.sync();
}

/** A proxier that has synced these objects. */
async function started(
  kernel: FakeKernel,
  objects: { readonly services?: readonly Service[]; readonly slices?: readonly EndpointSlice[] },
  options: Partial<ProxierOptions> = {},
): Promise<Proxier> {
  const proxier = start(kernel, options);
  for (const object of objects.services ?? []) tell(proxier, { kind: 'service', now: object });
  for (const object of objects.slices ?? []) tell(proxier, { kind: 'slice', now: object });
  proxier.setSynced();
  await sync(proxier, kernel);
  return proxier;
}

const endpointsOf = (name: string, ...endpoints: readonly EndpointText[]) =>
  slice({ service: name, endpoints });
const web = {
  services: [service('web', VIP)],
  slices: [endpointsOf('web', '10.0.0.1', '10.0.0.2')],
};

const addressKey = (ip: string, protocol: 'tcp' | 'udp' = 'tcp', port = 80) =>
  ipBytes(parseIP(ip)) + protocolBytes(protocol) + portBytes(port);
const nodePortKey = (port: number) => protocolBytes('tcp') + portBytes(port);

/** Where connections to a frontend go: addresses in slot order, or the refusal. */
function route(kernel: FakeKernel, key: string): string {
  const found = kernel.route(key.length === 8 ? 'nodePort' : 'address', key);
  if (typeof found !== 'object') return found ?? 'nowhere';
  return found.map((target) => readIPBytes(target, 0, 4)).join(' ');
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((proxier) => proxier.stop()));
});

describe('where connections go', () => {
  test('a clusterIP to its endpoints', async () => {
    const kernel = new FakeKernel();
    await started(kernel, web);
    expect(route(kernel, addressKey(VIP))).toBe('10.0.0.1 10.0.0.2');
  });

  test('to the endpoints of their own protocol', async () => {
    const kernel = new FakeKernel();
    const ports = [
      { name: 'dns-tcp', protocol: 'TCP', port: 53 },
      { name: 'dns', protocol: 'UDP', port: 53 },
    ] as const;
    const targets = [{ name: 'dns', protocol: 'UDP', port: 5353 }] as const;
    await started(kernel, {
      services: [service('dns', VIP, { ports })],
      slices: [slice({ service: 'dns', endpoints: ['10.0.0.1'], ports: targets })],
    });
    expect([
      route(kernel, addressKey(VIP, 'udp', 53)),
      route(kernel, addressKey(VIP, 'tcp', 53)),
    ]).toEqual(['10.0.0.1', 'goto reject-chain']);
  });

  test('a NodePort to the same endpoints, masqueraded', async () => {
    const kernel = new FakeKernel();
    const ports = [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30080 }] as const;
    await started(kernel, { ...web, services: [service('web', VIP, { type: 'NodePort', ports })] });
    expect(route(kernel, nodePortKey(30080))).toBe('10.0.0.1 10.0.0.2');
    expect(kernel.elements('masqueraded-nodeports')).toEqual([
      { key: nodePortKey(30080), data: 'goto masquerade-all', comment: 'ns/web:http' },
    ]);
  });

  test.each([
    { name: 'none at all', endpoints: [], want: 'goto reject-chain' },
    {
      name: 'none ready',
      endpoints: [{ ip: '10.0.0.1', conditions: { ready: false, serving: false } }],
      want: 'goto reject-chain',
    },
    {
      name: 'only draining ones',
      endpoints: [
        { ip: '10.0.0.1', conditions: { ready: false, serving: true, terminating: true } },
      ],
      want: '10.0.0.1',
    },
  ])('endpoints: $name', async ({ endpoints, want }) => {
    const kernel = new FakeKernel();
    await started(kernel, { ...web, slices: [endpointsOf('web', ...endpoints)] });
    expect(route(kernel, addressKey(VIP))).toBe(want);
  });

  test.each([
    {
      name: 'some here',
      endpoints: [{ ip: '10.0.0.1', nodeName: 'node-a' }, '10.0.0.2'],
      want: '10.0.0.1',
    },
    { name: 'only elsewhere', endpoints: ['10.0.0.2'], want: 'drop' },
    { name: 'nowhere', endpoints: [], want: 'goto reject-chain' },
  ])('internalTrafficPolicy Local, $name', async ({ endpoints, want }) => {
    const kernel = new FakeKernel();
    const services = [service('web', VIP, { internalTrafficPolicy: 'Local' })];
    await started(kernel, { services, slices: [endpointsOf('web', ...endpoints)] });
    expect(route(kernel, addressKey(VIP))).toBe(want);
  });

  test('hairpins are for endpoints here only, and counted', async () => {
    const kernel = new FakeKernel();
    const here = { ip: '10.0.0.1', nodeName: 'node-a' };
    const both = {
      services: [service('a', VIP), service('b', '172.30.0.2')],
      slices: [endpointsOf('a', here, '10.0.0.2'), endpointsOf('b', here)],
    };
    const proxier = await started(kernel, both);
    const hairpins = () => kernel.elements('hairpins').map(({ key }) => readIPBytes(key, 0, 4));
    expect(hairpins()).toEqual(['10.0.0.1']);
    tell(proxier, { kind: 'service', was: service('a', VIP) });
    await sync(proxier, kernel);
    expect(hairpins()).toEqual(['10.0.0.1']);
    tell(proxier, { kind: 'service', was: service('b', VIP) });
    await sync(proxier, kernel);
    expect(hairpins()).toEqual([]);
  });

  test('hints follow the zone label of the node', async () => {
    const kernel = new FakeKernel();
    const inZone = (ip: string, name: string) => ({ ip, hints: { forZones: [{ name }] } });
    const slices = [endpointsOf('web', inZone('10.0.0.1', 'a'), inZone('10.0.0.2', 'b'))];
    const proxier = await started(kernel, { ...web, slices });
    expect(route(kernel, addressKey(VIP))).toBe('10.0.0.1 10.0.0.2');
    proxier.apply({ kind: 'node', family: 4, facts: { zone: 'b', addresses: [], podCIDRs: [] } });
    await sync(proxier, kernel);
    expect(route(kernel, addressKey(VIP))).toBe('10.0.0.2');
  });

  test('IPv6 has a table of its own', async () => {
    const kernel = new FakeKernel();
    const proxier = start(kernel, {}, 6);
    tell(proxier, { kind: 'service', now: service('web', 'fd00:172::1') });
    tell(proxier, { kind: 'service', now: service('four', VIP) });
    tell(proxier, { kind: 'slice', now: endpointsOf('web', 'fd00:10::1') });
    proxier.setSynced();
    await proxier.sync();
    const targets = kernel.route('address', addressKey('fd00:172::1'));
    expect(Array.from(targets ?? [], (target) => readIPBytes(target, 0, 6))).toEqual([
      'fd00:10::1',
    ]);
    expect(kernel.elements('cluster-ips')).toHaveLength(1);
  });
});

describe('operations per change', () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);

  test.each([
    { name: 'none', before: many(50), after: many(50), want: 0 },
    { name: 'reordered', before: many(50), after: many(50).reverse(), want: 0 },
    { name: 'one replaced', before: many(50), after: ['10.9.9.9', ...many(50).slice(1)], want: 2 },
    { name: 'one added', before: many(50), after: many(51), want: 3 },
    { name: 'one removed', before: many(50), after: many(50).slice(1), want: 5 },
    { name: 'one removed of 2,000', before: many(2000), after: many(2000).slice(1), want: 5 },
    { name: 'the last one goes', before: many(1), after: [], want: 3 },
    { name: 'the first one comes', before: [], after: many(1), want: 3 },
  ])('endpoints: $name', async ({ before, after, want }) => {
    const kernel = new FakeKernel();
    const proxier = await started(kernel, { ...web, slices: [endpointsOf('web', ...before)] });
    tell(proxier, { kind: 'slice', now: endpointsOf('web', ...after) });
    await sync(proxier, kernel);
    expect(kernel.operations).toBe(want);
  });

  test('slots beyond a lowered count go in a transaction of their own', async () => {
    const kernel = new FakeKernel();
    const proxier = await started(kernel, web);
    tell(proxier, { kind: 'slice', now: endpointsOf('web', '10.0.0.2') });
    await sync(proxier, kernel);
    const removedSlots = kernel.changes.map(
      ({ elements }) => elements.find(({ set }) => set === 'endpoints')?.remove.length,
    );
    expect(removedSlots).toEqual([1, 1]);
  });

  test('verdicts stay untouched while the count does', async () => {
    const kernel = new FakeKernel();
    const proxier = await started(kernel, web);
    tell(proxier, { kind: 'slice', now: endpointsOf('web', '10.0.0.3', '10.0.0.2') });
    await sync(proxier, kernel);
    expect(kernel.changes.flatMap(({ elements }) => elements.map(({ set }) => set))).toEqual([
      'endpoints',
    ]);
  });
});

describe('structure', () => {
  test.each([1, 100, 5000])('is the same for %i Services', async (count) => {
    const kernel = new FakeKernel();
    const ip = (i: number) => `172.30.${i >> 8}.${i & 255}`;
    await started(kernel, {
      services: Array.from({ length: count }, (_, i) => service(`s${i}`, ip(i))),
      slices: Array.from({ length: count }, (_, i) => endpointsOf(`s${i}`, '10.0.0.1', '10.0.0.2')),
    });
    expect(kernel.elements('service-ips')).toHaveLength(count);
    expect(kernel.structure).toEqual({ chains: 15, rules: 41, sets: 23 });
  });

  test('chains of counts that nobody has go after a while', async () => {
    const kernel = new FakeKernel();
    const clock = new FakeClock();
    const proxier = await started(kernel, web, { clock });
    tell(proxier, { kind: 'slice', now: endpointsOf('web', '10.0.0.1') });
    await sync(proxier, kernel);
    expect(kernel.chains.has('n2')).toBe(true);
    clock.advance(6000);
    await sync(proxier, kernel);
    expect([kernel.chains.has('n2'), kernel.chains.has('n1')]).toEqual([false, true]);
    tell(proxier, { kind: 'slice', now: endpointsOf('web', '10.0.0.1', '10.0.0.2') });
    await sync(proxier, kernel);
    expect(route(kernel, addressKey(VIP))).toBe('10.0.0.1 10.0.0.2');
  });
});

describe('start and restart', () => {
  test('nothing is touched before the sources have synced', async () => {
    const kernel = new FakeKernel();
    const proxier = start(kernel);
    tell(proxier, { kind: 'service', now: service('web', VIP) });
    await proxier.sync();
    expect(kernel.observations).toBe(0);
  });

  test('over equal state changes no element', async () => {
    const kernel = new FakeKernel();
    await started(kernel, web);
    await started(kernel, web);
    expect(kernel.operations).toBe(0);
  });

  test('sends differences only, and endpoints keep their slots', async () => {
    const kernel = new FakeKernel();
    const three = [endpointsOf('web', '10.0.0.1', '10.0.0.2', '10.0.0.3')];
    await started(kernel, { ...web, slices: three });
    await started(kernel, {
      services: [service('web', VIP), service('new', '172.30.0.2')],
      slices: [
        endpointsOf('web', '10.0.0.2', '10.0.0.3', '10.0.0.4'),
        endpointsOf('new', '10.0.0.9'),
      ],
    });
    expect(route(kernel, addressKey(VIP))).toBe('10.0.0.4 10.0.0.2 10.0.0.3');
    expect(kernel.operations).toBe(5);
  });

  test('removes what belongs to no Service any more', async () => {
    const kernel = new FakeKernel();
    await started(kernel, web);
    await started(kernel, {});
    expect([...kernel.sets.values()].filter(({ size }) => size > 0)).toEqual([]);
  });

  test('replaces a table of another make in one transaction', async () => {
    const kernel = new FakeKernel();
    await started(kernel, web);
    await started(kernel, web, {
      nodePortAddresses: { kind: 'cidrs', cidrs: [parseCidr('192.168.0.0/24')] },
    });
    expect(kernel.changes).toHaveLength(1);
    expect(route(kernel, addressKey(VIP))).toBe('10.0.0.1 10.0.0.2');
  });

  test('no packet meets a new table before everything is in it', async () => {
    const kernel = new FakeKernel();
    await started(kernel, web);
    const hooks = kernel.changes.map(({ chains = [] }) => chains.some(({ base }) => base));
    expect(hooks).toEqual([false, false, true]);
  });

  test('large work is cut into transactions with turns of the event loop in between', async () => {
    const kernel = new FakeKernel();
    let turns = 0;
    const count = () => {
      turns++;
      if (turns < 100) setImmediate(count);
    };
    setImmediate(count);
    const services = Array.from({ length: 2000 }, (_, i) =>
      service(`s${i}`, `172.30.${i >> 8}.${i & 255}`),
    );
    const slices = services.map(({ metadata }) =>
      endpointsOf(metadata.name, '10.0.0.1', '10.0.0.2'),
    );
    await started(kernel, { services, slices });
    expect(kernel.changes.length).toBeGreaterThanOrEqual(4);
    expect(turns).toBeGreaterThanOrEqual(3);
  });
});

describe('failure', () => {
  test('the next sync reads the table back and catches up', async () => {
    const kernel = new FakeKernel();
    const proxier = await started(kernel, web);
    kernel.failures = 1;
    tell(proxier, { kind: 'slice', now: endpointsOf('web', '10.0.0.9') });
    await expect(proxier.sync()).rejects.toThrow('made to fail');
    expect(proxier.health.queuedAtMs).toBeDefined();
    await sync(proxier, kernel);
    expect(route(kernel, addressKey(VIP))).toBe('10.0.0.9');
    expect([kernel.observations, proxier.health.queuedAtMs]).toEqual([2, undefined]);
  });

  test('resync repairs what somebody else did', async () => {
    const kernel = new FakeKernel();
    const proxier = await started(kernel, web);
    kernel.sets.get('service-ips')?.clear();
    kernel.sets.get('endpoints')?.set('stray', { key: 'stray', data: 'x' });
    proxier.resync();
    await sync(proxier, kernel);
    expect(route(kernel, addressKey(VIP))).toBe('10.0.0.1 10.0.0.2');
    expect(kernel.sets.get('endpoints')?.has('stray')).toBe(false);
  });

  test('resync restores a whole lost table', async () => {
    const kernel = new FakeKernel();
    const proxier = await started(kernel, web);
    kernel.clear();
    proxier.resync();
    await sync(proxier, kernel);
    expect(route(kernel, addressKey(VIP))).toBe('10.0.0.1 10.0.0.2');
  });
});

describe('a frontend changes hands', () => {
  const rivals = {
    services: [service('a', VIP), service('b', VIP)],
    slices: [endpointsOf('a', '10.0.0.1', '10.0.0.2'), endpointsOf('b', '10.0.0.3')],
  };

  test('the first by name has it, the other takes over', async () => {
    const kernel = new FakeKernel();
    const proxier = await started(kernel, rivals);
    expect(route(kernel, addressKey(VIP))).toBe('10.0.0.1 10.0.0.2');
    tell(proxier, { kind: 'service', was: service('a', VIP) });
    await sync(proxier, kernel);
    expect(route(kernel, addressKey(VIP))).toBe('10.0.0.3');
    expect(kernel.changes).toHaveLength(1);
  });

  test('two Services swap their addresses', async () => {
    const kernel = new FakeKernel();
    const other = '172.30.0.2';
    const proxier = await started(kernel, {
      ...rivals,
      services: [service('a', VIP), service('b', other)],
    });
    tell(proxier, { kind: 'service', now: service('a', other) });
    tell(proxier, { kind: 'service', now: service('b', VIP) });
    await sync(proxier, kernel);
    expect([route(kernel, addressKey(VIP)), route(kernel, addressKey(other))]).toEqual([
      '10.0.0.3',
      '10.0.0.1 10.0.0.2',
    ]);
  });
});

test('a handover is one transaction, however large', async () => {
  const kernel = new FakeKernel();
  const many = (start: number) =>
    Array.from({ length: 1100 }, (_, i) => `10.${start}.${i >> 8}.${i & 255}`);
  const slices = [endpointsOf('a', ...many(1)), endpointsOf('b', ...many(2))];
  const proxier = await started(kernel, {
    services: [service('a', VIP), service('b', '172.30.0.2')],
    slices,
  });
  tell(proxier, { kind: 'service', now: service('a', '172.30.0.2') });
  tell(proxier, { kind: 'service', now: service('b', VIP) });
  await sync(proxier, kernel);
  expect(kernel.changes).toHaveLength(1);
  expect(route(kernel, addressKey(VIP)).split(' ').sort()).toEqual(many(2).sort());
});

describe('NodePort addresses', () => {
  const node: NodeFacts = {
    zone: undefined,
    addresses: [parseIP('fd00:192::1'), parseIP('192.168.0.1'), parseIP('192.168.0.2')],
    podCIDRs: [],
  };
  const accepted = (kernel: FakeKernel) =>
    kernel.elements('nodeport-ips').map(({ key }) => readIPBytes(key, 0, 4));

  test('primary waits for the Node and follows it', async () => {
    const kernel = new FakeKernel();
    const proxier = await started(kernel, web, { hasNodeObjects: () => true });
    expect(accepted(kernel)).toEqual([]);
    proxier.apply({ kind: 'node', family: 4, facts: node });
    await sync(proxier, kernel);
    expect(accepted(kernel)).toEqual(['192.168.0.1']);
    proxier.apply({
      kind: 'node',
      family: 4,
      facts: { ...node, addresses: [parseIP('192.168.0.9')] },
    });
    await sync(proxier, kernel);
    expect(accepted(kernel)).toEqual(['192.168.0.9']);
  });

  test.each([
    { name: 'no Node objects at all', options: {}, want: false },
    { name: 'Node objects', options: { hasNodeObjects: () => true }, want: true },
    {
      name: 'networks of the other family',
      options: { nodePortAddresses: { kind: 'cidrs', cidrs: [parseCidr('fd00::/8')] } },
      want: false,
    },
    {
      name: 'the whole family',
      options: { nodePortAddresses: { kind: 'cidrs', cidrs: [parseCidr('0.0.0.0/0')] } },
      want: false,
    },
  ] as const)('a set of addresses: $name', async ({ options, want }) => {
    const kernel = new FakeKernel();
    await started(kernel, web, options);
    expect(kernel.sets.has('nodeport-ips')).toBe(want);
  });

  test('networks choose among the local addresses, never loopback', async () => {
    const kernel = new FakeKernel();
    const local: IP[] = ['192.168.0.1', '10.0.0.1', '127.0.0.1', '203.0.113.9'].map(parseIP);
    const cidrs = ['192.168.0.0/24', '127.0.0.0/8', '203.0.113.0/24'].map(parseCidr);
    await started(kernel, web, {
      nodePortAddresses: { kind: 'cidrs', cidrs },
      localAddresses: () => local,
    });
    expect(accepted(kernel)).toEqual(['192.168.0.1', '203.0.113.9']);
  });
});

describe('local detection', () => {
  test('the pod networks of the node replace one chain', async () => {
    const kernel = new FakeKernel();
    const proxier = await started(kernel, web, { localDetection: { kind: 'nodeCIDRs' } });
    expect(kernel.chains.get('masquerade-off-cluster')?.rules).toEqual([]);
    proxier.apply({
      kind: 'node',
      family: 4,
      facts: {
        zone: undefined,
        addresses: [],
        podCIDRs: [parseCidr('10.1.0.0/24'), parseCidr('10.2.0.0/24'), parseCidr('fd00:10::/64')],
      },
    });
    await sync(proxier, kernel);
    expect(kernel.changes).toHaveLength(1);
    // One rule per network that is spared, and one that masquerades the rest.
    expect(kernel.chains.get('masquerade-off-cluster')?.rules).toHaveLength(3);
  });
});

test('the runner syncs at once after quiet, then keeps its distance', async () => {
  const kernel = new FakeKernel();
  const clock = new FakeClock();
  const proxier = start(kernel, { clock, minSyncPeriodMs: 1000 });
  tell(proxier, { kind: 'service', now: service('web', VIP) });
  proxier.setSynced();
  const settle = async (ms: number) => {
    clock.advance(ms);
    await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await settle(0);
  expect(route(kernel, addressKey(VIP))).toBe('goto reject-chain');
  tell(proxier, { kind: 'slice', now: endpointsOf('web', '10.0.0.1') });
  await settle(900);
  expect(route(kernel, addressKey(VIP))).toBe('goto reject-chain');
  await settle(200);
  expect(route(kernel, addressKey(VIP))).toBe('10.0.0.1');
});

test('any sequence of changes ends where a fresh start would', async () => {
  const event = fc.record({
    name: fc.constantFrom('a', 'b', 'c'),
    ip: fc.constantFrom(VIP, '172.30.0.2', undefined),
    nodePort: fc.constantFrom(0, 30080),
    endpoints: fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 6 }),
    syncs: fc.boolean(),
    fails: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 12 }), async (events) => {
      const kernel = new FakeKernel();
      const proxier = start(kernel);
      const last = new Map<string, { service?: Service; slice: EndpointSlice }>();
      proxier.setSynced();
      for (const { name, ip, nodePort, endpoints, syncs, fails } of events) {
        const ports = [{ name: 'http', protocol: 'TCP', port: 80, nodePort }] as const;
        const object = service(name, ip ?? VIP, { ports });
        const endpointSlice = endpointsOf(name, ...endpoints.map((n) => `10.0.0.${n}`));
        if (ip === undefined) tell(proxier, { kind: 'service', was: object });
        else tell(proxier, { kind: 'service', now: object });
        tell(proxier, { kind: 'slice', now: endpointSlice });
        last.set(name, { ...(ip !== undefined && { service: object }), slice: endpointSlice });
        if (fails) kernel.failures = 1;
        if (syncs) await proxier.sync().catch(() => {});
      }
      kernel.failures = 0;
      await proxier.sync();
      await proxier.stop();
      const fresh = new FakeKernel();
      const objects = [...last.values()];
      await started(fresh, {
        services: objects.flatMap((object) => object.service ?? []),
        slices: objects.map((object) => object.slice),
      });
      expect(content(kernel)).toEqual(content(fresh));
    }),
    { numRuns: 200 },
  );
});

/** All elements without the order of slots. */
function content(kernel: FakeKernel): unknown {
  return [...kernel.sets].map(([name, elements]) => [
    name,
    [...elements.values()]
      .map(({ key, data, comment }) =>
        name.includes('endpoints') && !name.startsWith('no-')
          ? [key.slice(0, -4), data]
          : [key, data, comment],
      )
      .map((entry) => JSON.stringify(entry))
      .sort(),
  ]);
}
