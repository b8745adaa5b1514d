import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TUNNEL_NAME } from '../../src/fabric/names.ts';
import type { Backend } from '../../src/fabric/plan.ts';
import {
  createFabricLab,
  type FabricLab,
  type LabNode,
  type RunningFabric,
  startLabFabric,
} from '../support/fabric-lab.ts';
import { until } from '../support/until.ts';

let lab: FabricLab;
let near: readonly [LabNode, LabNode];
let far: LabNode;
let running: RunningFabric[] = [];

beforeAll(() => {
  lab = createFabricLab([1, 1, 2]);
  const [a, b, c] = lab.nodes;
  if (a === undefined || b === undefined || c === undefined) throw new Error('three nodes');
  near = [a, b];
  far = c;
});

afterAll(() => lab?.remove());

beforeEach(() => async () => {
  await Promise.all(running.map((each) => each.stop()));
  running = [];
});

async function start(backend: Backend, nodes: readonly LabNode[] = lab.nodes): Promise<void> {
  const started = nodes.map((node) => startLabFabric(node, lab.nodes, { backend }));
  running.push(...started);
  for (const { fabric } of started) await until('the fabric is ready', () => fabric.report.isReady);
}

function isReached(from: LabNode, to: LabNode, size = 56): boolean {
  return to.podAddresses.every((address) => {
    const args = ['-c1', '-W2', '-n', '-Mdo', `-s${size}`, address];
    return from.pod.attempt('ping', args).status === 0;
  });
}

/** The device of the route to a node's pods, of both families. */
function devices(from: LabNode, to: LabNode): readonly string[] {
  return to.podAddresses.map((address) => {
    const [found] = from.netns.ip<{ dev: string }[]>('route', 'get', address);
    return found?.dev ?? '';
  });
}

describe('pods reach pods of other nodes', () => {
  test.each([
    ['vxlan', [TUNNEL_NAME, TUNNEL_NAME], [TUNNEL_NAME, TUNNEL_NAME]],
    ['auto', ['eth0', 'eth0'], [TUNNEL_NAME, TUNNEL_NAME]],
  ] as const)('%s', async (backend, toNear, toFar) => {
    await start(backend);
    const [a, b] = near;
    expect(devices(a, b)).toEqual(toNear);
    expect(devices(a, far)).toEqual(toFar);
    for (const [from, to] of [
      [a, b],
      [b, a],
      [a, far],
      [far, b],
    ] as const) {
      await until(`${from.name} reaches ${to.name}`, () => isReached(from, to));
    }
  });

  test('host-gw: those on the link, and the others are named', async () => {
    await start('host-gw');
    const [a, b] = near;
    await until('neighbours reach each other', () => isReached(a, b));
    expect(devices(a, far)).toEqual(['eth0', 'eth0']);
    expect(isReached(a, far)).toBe(false);
    const report = running[0]?.fabric.report;
    expect(report?.peers.find(({ name }) => name === far.name)?.path).toBe('unreachable');
    expect(report?.problems.join('\n')).toContain('is behind a router, which has no route');
  });

  test('none takes everything of the fabric away', async () => {
    await start('auto', [near[0]]);
    await running.pop()?.stop();
    near[0].netns.run('ip', 'route', 'add', '203.0.113.0/24', 'dev', 'eth0', 'proto', '77');
    await start('none', [near[0]]);
    expect(near[0].netns.attempt('ip', ['link', 'show', TUNNEL_NAME]).status).not.toBe(0);
    const routes = near[0].netns.run('ip', 'route') + near[0].netns.run('ip', '-6', 'route');
    expect(routes).not.toContain('proto 201');
    expect(routes).toContain('203.0.113.0/24');
  });
});

test('a Node that the last run did not know keeps its entries until there is none for certain', async () => {
  await start('auto');
  await running.shift()?.stop();
  const [a, b] = near;
  const known = startLabFabric(a, [a, b], {}, { isConfirmed: false });
  running.push(known);
  await until('it is ready', () => known.fabric.report.isReady);
  expect(devices(a, far)).toEqual([TUNNEL_NAME, TUNNEL_NAME]);
  expect(isReached(a, far)).toBe(true);
  known.fabric.setConfirmed();
  await until('its routes are gone', () => devices(a, far).every((device) => device === 'eth0'));
});

test('full-size packets fit, and one byte more does not', async () => {
  await start('vxlan');
  const { mtu = 0 } = running[0]?.fabric.report ?? {};
  expect(mtu).toBe(1450);
  await until('a packet of the MTU passes', () => pings(near[0], far.podAddresses[0], mtu - 28));
  expect(pings(near[0], far.podAddresses[0], mtu - 27)).toBe(false);
  expect(pings(near[0], far.podAddresses[1], mtu - 48)).toBe(true);
});

/** From the node itself, whose route is the tunnel's. */
function pings(from: LabNode, address: string, size: number): boolean {
  return (
    from.netns.attempt('ping', ['-c1', '-W2', '-n', '-Mdo', `-s${size}`, address]).status === 0
  );
}

describe('what somebody else changes is put right', () => {
  const [v4, v6] = ['10.244.3.0/24', 'fd00:3::/64'];
  const gone: readonly (readonly [string, readonly string[]])[] = [
    ['a route', ['ip', 'route', 'del', v4, 'proto', '201']],
    ['an IPv6 route', ['ip', '-6', 'route', 'del', v6, 'proto', '201']],
    ['all neighbours', ['ip', '-6', 'neigh', 'flush', 'dev', TUNNEL_NAME, 'nud', 'permanent']],
    [
      'a stray route of our protocol',
      ['ip', 'route', 'add', '10.9.0.0/16', 'dev', 'eth0', 'proto', '201', 'metric', '201'],
    ],
    [
      'one of our protocol that wins over ours',
      ['ip', 'route', 'add', v4, 'dev', 'eth0', 'proto', '201', 'metric', '100'],
    ],
    [
      'one behind ours',
      ['ip', 'route', 'append', v4, 'via', '192.0.1.254', 'proto', '201', 'metric', '201'],
    ],
    ['a black hole for ours', ['ip', 'route', 'replace', 'blackhole', v4, 'metric', '201']],
    [
      'all that networkd did not make itself',
      [
        'sh',
        '-c',
        `for f in -4 -6; do ip $f route flush proto 201; ip $f addr flush dev ${TUNNEL_NAME}; done`,
      ],
    ],
    ['the device', ['ip', 'link', 'del', TUNNEL_NAME]],
    ['the device set down', ['ip', 'link', 'set', TUNNEL_NAME, 'down']],
    ['another MTU', ['ip', 'link', 'set', TUNNEL_NAME, 'mtu', '1300']],
    ['another MAC', ['ip', 'link', 'set', TUNNEL_NAME, 'address', '02:00:00:00:00:01']],
    ['the link below set down and up', ['sh', '-c', 'ip link set eth0 down; ip link set eth0 up']],
    ['forwarding', ['sysctl', '-qw', 'net.ipv4.ip_forward=0']],
  ];

  test.each(gone)('%s', async (_, [command = '', ...args]) => {
    await start('auto');
    const [a, b] = near;
    await until('pods reach each other', () => isReached(a, far));
    const before = stateOf(a);
    a.netns.run(command, ...args);
    const at = performance.now();
    if (args.join(' ').includes('eth0 down')) restoreAddresses(a);
    await expect.poll(() => stateOf(a), { timeout: 8_000 }).toBe(before);
    expect(performance.now() - at).toBeLessThan(5_000);
    await until('pods reach each other', () => isReached(a, far) && isReached(a, b));
  });
});

/** IPv6 addresses and the default route go with a link that goes down; networkd gives them back. */
function restoreAddresses({ netns }: LabNode): void {
  netns.batch([
    'addr replace 2001:db8:1::1/64 dev eth0 nodad',
    'route replace default via 192.0.1.254',
    'route replace default via 2001:db8:1::fe',
  ]);
}

/** Everything the fabric cares about, in one text. */
function stateOf({ netns }: LabNode): string {
  const [tunnel] = netns.ip<{ mtu: number; address: string; flags: string[] }[]>(
    ...(['link', 'show', 'dev', TUNNEL_NAME] as const),
  );
  return [
    netns.run('ip', 'route', 'show', 'proto', '201'),
    netns.run('ip', '-6', 'route', 'show', 'proto', '201'),
    inOrder(netns.run('ip', '-6', 'neigh', 'show', 'nud', 'permanent')),
    inOrder(netns.run('bridge', 'fdb', 'show', 'dev', TUNNEL_NAME)),
    `${tunnel?.mtu} ${tunnel?.address} ${tunnel?.flags.includes('UP')}`,
    netns.run('ip', '-br', 'address', 'show', 'dev', TUNNEL_NAME, 'scope', 'global'),
    netns.run('cat', '/proc/sys/net/ipv4/ip_forward'),
  ].join('\n');
}

/** Neighbours and forwarding entries come by their hashes, which a new device has anew. */
function inOrder(lines: string): string {
  return lines.split('\n').toSorted().join('\n');
}

test('a second start of an unchanged node writes nothing', async () => {
  await start('auto');
  await running.shift()?.stop();
  const again = startLabFabric(near[0], lab.nodes, { backend: 'auto' });
  running.push(again);
  await until('it is ready', () => again.fabric.report.isReady);
  expect(again.fabric.report).toMatchObject({ writes: 0, repairs: 0 });
});

test('what of nodes is gone that went while nobody looked goes too, and nothing else', async () => {
  await start('auto', [near[0]]);
  await running.pop()?.stop();
  near[0].netns.run('ip', 'route', 'replace', '10.99.0.0/16', 'dev', 'eth0', 'proto', '77');
  const again = startLabFabric(near[0], [near[0], near[1]], { backend: 'auto' });
  running.push(again);
  await until('it is ready', () => again.fabric.report.isReady);
  const routes = near[0].netns.run('ip', 'route');
  expect(routes).not.toContain('10.244.3.0/24');
  expect(routes).toContain('10.244.2.0/24');
  expect(routes).toContain('10.99.0.0/16');
  expect(near[0].netns.run('bridge', 'fdb', 'show', 'dev', TUNNEL_NAME)).not.toContain('192.0.2.3');
});

test('nothing is lost when the back end changes under pings', async () => {
  await start('vxlan', near);
  const [a, b] = near;
  await until('pods reach each other', () => isReached(a, b));
  const ping = a.pod.start('ping', ['-i0.002', '-c1000', '-W2', '-n', '-q', b.podAddresses[0]]);
  const output: string[] = [];
  ping.stdout?.on('data', (data: Buffer) => output.push(data.toString()));
  const ended = new Promise((resolve) => ping.once('close', resolve));
  for (const backend of ['host-gw', 'vxlan', 'auto'] as const) {
    for (const { fabric } of running) {
      fabric.reconfigure({
        ...{ backend, tunnelPort: 8472, vni: 201, mtu: 0, clusterCIDRs: [], serviceCIDRs: [] },
      });
    }
    const device = backend === 'vxlan' ? TUNNEL_NAME : 'eth0';
    await until('the routes are others', () => devices(a, b).every((name) => name === device));
  }
  await ended;
  expect(output.join('')).toContain('1000 received, 0% packet loss');
});
