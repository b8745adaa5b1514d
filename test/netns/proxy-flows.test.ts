import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { EndpointSlice, Service } from '../../src/kube/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';
import type { ServiceProxy, ServiceProxyOptions } from '../../src/proxy/service-proxy.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import { service, slice } from '../support/proxy-objects.ts';
import { probe, total } from '../support/workloads.ts';

let lab: ProxyLab;
let proxy: ServiceProxy;

beforeAll(async () => {
  lab = await createProxyLab();
});

afterAll(() => lab.remove());

afterEach(() => proxy.stop());

interface Family {
  readonly name: string;
  readonly vip: (n: number) => string;
  readonly podA: string;
  readonly podB: string;
  readonly remote: string;
  readonly client: string;
  /** The node's addresses towards the pods, the other node and the outside. */
  readonly bridge: string;
  readonly node: string;
  readonly outer: string;
}

const families: readonly Family[] = [
  {
    name: 'IPv4',
    vip: (n) => `172.30.0.${n}`,
    podA: '10.1.0.3',
    podB: '10.1.0.4',
    remote: '10.2.0.2',
    client: '10.1.0.2',
    bridge: '10.1.0.1',
    node: '192.168.0.1',
    outer: '203.0.113.1',
  },
  {
    name: 'IPv6',
    vip: (n) => `fd00:172::${n}`,
    podA: 'fd00:10:1::3',
    podB: 'fd00:10:1::4',
    remote: 'fd00:10:2::2',
    client: 'fd00:10:1::2',
    bridge: 'fd00:10:1::1',
    node: 'fd00:192::1',
    outer: '2001:db8::1',
  },
];

interface Objects {
  readonly services: readonly Service[];
  readonly slices: readonly EndpointSlice[];
}

async function start(
  { services, slices }: Objects,
  options?: Partial<ServiceProxyOptions>,
): Promise<void> {
  proxy = lab.proxy(options);
  for (const object of services) proxy.onServiceAdd(object);
  for (const object of slices) proxy.onEndpointSliceAdd(object);
  proxy.setSynced();
  await proxy.sync();
}

const ports = [
  { name: 'http', protocol: 'TCP', port: 80, nodePort: 30080 },
  { name: 'dns', protocol: 'UDP', port: 53, nodePort: 30053 },
] as const;
const targets = [
  { name: 'http', protocol: 'TCP', port: 8080 },
  { name: 'dns', protocol: 'UDP', port: 8080 },
] as const;
const here = (ip: string) => ({ ip, nodeName: 'node-a' });

/** VIP 1: pod-a; 2: all three; 3: none; 4: internalTrafficPolicy Local, remote only. */
function objectsOf({ vip, podA, podB, remote }: Family): Objects {
  const plain = (name: string, n: number, spec = {}) =>
    service(name, vip(n), { ports: ports.map((port) => ({ ...port, nodePort: 0 })), ...spec });
  const of = (name: string, ...endpoints: Parameters<typeof slice>[0]['endpoints']) =>
    slice({ service: name, endpoints, ports: targets });
  return {
    services: [
      service('one', vip(1), { type: 'NodePort', ports }),
      plain('all', 2),
      service('none', vip(3), {
        type: 'NodePort',
        ports: ports.map((port) => ({ ...port, nodePort: port.nodePort + 1 })),
      }),
      plain('local', 4, { internalTrafficPolicy: 'Local' }),
    ],
    slices: [of('one', here(podA)), of('all', here(podA), here(podB), remote), of('local', remote)],
  };
}

type From = 'client' | 'podA' | 'node' | 'remote' | 'outside';

/** Who answered and which peer it saw, or the error. */
async function visit(from: From, host: string, port: number, protocol: 'tcp' | 'udp' = 'tcp') {
  const { path } = lab[from];
  const result = await probe(path, { protocol, host, port, timeoutMs: 700 });
  const words = [result.servers, result.peers, result.errors].flatMap((counts) =>
    Object.keys(counts),
  );
  return { text: words.join(' '), elapsedMs: result.elapsedMs };
}

describe.each(families)('$name', (family) => {
  const { vip, podA, podB, remote, client, bridge, node, outer } = family;

  describe('who reaches what, and with which source', () => {
    interface Flow {
      readonly name: string;
      readonly from: From;
      readonly to: string;
      readonly port: number;
      readonly protocol?: 'udp';
      readonly want: string;
    }
    const flows: readonly Flow[] = [
      { name: 'pod to clusterIP', from: 'client', to: vip(1), port: 80, want: `a ${client}` },
      {
        name: 'pod to clusterIP, UDP',
        from: 'client',
        to: vip(1),
        port: 53,
        protocol: 'udp',
        want: `a ${client}`,
      },
      { name: 'pod to itself', from: 'podA', to: vip(1), port: 80, want: `a ${bridge}` },
      { name: 'node to clusterIP', from: 'node', to: vip(1), port: 80, want: `a ${bridge}` },
      { name: 'outside to clusterIP', from: 'outside', to: vip(1), port: 80, want: `a ${bridge}` },
      { name: 'pod to NodePort', from: 'client', to: node, port: 30080, want: `a ${bridge}` },
      { name: 'node to its NodePort', from: 'node', to: node, port: 30080, want: `a ${bridge}` },
      { name: 'outside to NodePort', from: 'outside', to: outer, port: 30080, want: `a ${bridge}` },
      {
        name: 'outside to NodePort, UDP',
        from: 'outside',
        to: outer,
        port: 30053,
        protocol: 'udp',
        want: `a ${bridge}`,
      },
      {
        name: 'pod to clusterIP without endpoints',
        from: 'client',
        to: vip(3),
        port: 80,
        want: 'ECONNREFUSED',
      },
      {
        name: 'the same, UDP',
        from: 'client',
        to: vip(3),
        port: 53,
        protocol: 'udp',
        want: 'ECONNREFUSED',
      },
      {
        name: 'node to clusterIP without endpoints',
        from: 'node',
        to: vip(3),
        port: 80,
        want: 'ECONNREFUSED',
      },
      {
        name: 'outside to NodePort without endpoints',
        from: 'outside',
        to: outer,
        port: 30081,
        want: 'ECONNREFUSED',
      },
      {
        name: 'a port the clusterIP does not have',
        from: 'client',
        to: vip(1),
        port: 81,
        want: 'ECONNREFUSED',
      },
      {
        name: 'the port of another protocol',
        from: 'client',
        to: vip(1),
        port: 53,
        want: 'ECONNREFUSED',
      },
      {
        name: 'policy Local, endpoints elsewhere',
        from: 'client',
        to: vip(4),
        port: 80,
        want: 'TIMEOUT',
      },
    ];
    beforeAll(async () => {
      await start(objectsOf(family));
      await proxy.stop();
    });
    test.each(flows)('$name', async ({ from, to, port, protocol, want }) => {
      const { text, elapsedMs } = await visit(from, to, port, protocol);
      expect(text).toBe(want);
      if (want === 'ECONNREFUSED') expect(elapsedMs).toBeLessThan(400);
    });
  });

  test('connections spread evenly', async () => {
    await start(objectsOf(family));
    const result = await probe(lab.client.path, { host: vip(2), port: 80, count: 300 });
    expect(result.errors).toEqual({});
    expect(Object.keys(result.servers).sort()).toEqual(['a', 'b', 'remote']);
    // 100 each on average with a standard deviation of 8.2: five of them are one run in a million.
    for (const count of Object.values(result.servers))
      expect(Math.abs(count - 100)).toBeLessThan(42);
  });

  test('no new connection to an endpoint that is gone', async () => {
    const objects = objectsOf(family);
    await start(objects);
    proxy.onEndpointSliceUpdate(
      slice({ service: 'all', endpoints: [here(podB), remote], ports: targets }),
    );
    await proxy.sync();
    const result = await probe(lab.client.path, { host: vip(2), port: 80, count: 60 });
    expect([total(result.servers), result.servers['a'], result.errors]).toEqual([
      60,
      undefined,
      {},
    ]);
  });

  test('none fails while endpoints come and go', async () => {
    await start(objectsOf(family));
    const probing = probe(lab.client.path, { host: vip(2), port: 80, count: 1500 });
    let isDone = false;
    const done = probing.finally(() => {
      isDone = true;
    });
    for (let round = 0; !isDone && round < 2000; round++) {
      const endpoints = [here(podA), here(podB), remote].filter((_, i) => i !== round % 4);
      proxy.onEndpointSliceUpdate(slice({ service: 'all', endpoints, ports: targets }));
      await proxy.sync();
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const result = await done;
    expect([total(result.servers), result.errors]).toEqual([1500, {}]);
  });

  test.each([
    { name: 'masquerade all', options: { masqueradesAll: true }, wants: [bridge, bridge] },
    { name: 'no detection', options: { localDetection: undefined }, wants: [client, outer] },
    {
      name: 'by bridge',
      options: { localDetection: { kind: 'bridge', name: 'br0' } },
      wants: [client, bridge],
    },
    {
      name: 'by interface prefix',
      options: { localDetection: { kind: 'interfacePrefix', prefix: 'br' } },
      wants: [client, bridge],
    },
    {
      name: 'by several networks',
      options: {
        localDetection: {
          kind: 'cidrs',
          cidrs: ['10.9.0.0/16', '10.1.0.0/24', 'fd00:9::/64', 'fd00:10:1::/64'].map(parseCidr),
        },
      },
      wants: [client, bridge],
    },
  ] as const)('$name', async ({ options, wants }) => {
    await start(objectsOf(family), options);
    const fromPod = await visit('client', vip(1), 80);
    const fromNode = await visit('node', vip(1), 80);
    expect([fromPod.text, fromNode.text]).toEqual(wants.map((peer) => `a ${peer}`));
  });

  test('NodePorts answer on the configured addresses only', async () => {
    const cidrs = ['192.168.0.0/24', 'fd00:192::/64'].map(parseCidr);
    await start(objectsOf(family), {
      nodePortAddresses: { kind: 'cidrs', cidrs },
      localAddresses: () => [node, outer, bridge].map(parseIP),
    });
    const listed = await visit('outside', node, 30080);
    const other = await visit('outside', outer, 30080);
    expect([listed.text, other.text]).toEqual([`a ${bridge}`, 'ECONNREFUSED']);
  });

  test('NodePorts do not answer on loopback', async () => {
    await start(objectsOf(family));
    const loopback = family.name === 'IPv4' ? '127.0.0.1' : '::1';
    expect((await visit('node', loopback, 30080)).text).toBe('ECONNREFUSED');
  });
});

test('a flushed ruleset comes back', async () => {
  const [family] = families;
  await start(objectsOf(family!));
  lab.node.run('nft', 'flush', 'ruleset');
  proxy.resync();
  await proxy.sync();
  expect((await visit('client', family!.vip(1), 80)).text).toBe(`a ${family!.client}`);
});

test('counters say which endpoint took a connection', async () => {
  const [family] = families;
  lab.node.run('nft', 'flush', 'ruleset');
  await start(objectsOf(family!));
  await visit('client', family!.vip(1), 80);
  expect(lab.node.run('nft', 'list', 'map', 'ip', 'weft-proxy', 'endpoints')).toMatch(
    /172\.30\.0\.1 \. tcp \. 80 \. 0 counter packets 1 bytes \d+ : 10\.1\.0\.3 \. 8080/,
  );
});
