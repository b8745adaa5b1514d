/** What others say and do that is wrong: of one it is told, and everybody else is served. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { TUNNEL_NAME } from '../../src/fabric/names.ts';
import {
  createFabricLab,
  type FabricLab,
  LAB_SETTINGS,
  type LabNode,
  type RunningFabric,
  startLabFabric,
} from '../support/fabric-lab.ts';
import { node as nodeObject } from '../support/fabric-objects.ts';
import { until } from '../support/until.ts';

let lab: FabricLab;
let own: LabNode;
let near: LabNode;
let far: LabNode;
let running: RunningFabric[] = [];

beforeAll(() => {
  lab = createFabricLab([1, 1, 2]);
  const [a, b, c] = lab.nodes;
  if (a === undefined || b === undefined || c === undefined) throw new Error('three nodes');
  [own, near, far] = [a, b, c];
});

afterAll(() => lab?.remove());

beforeEach(() => async () => {
  await Promise.all(running.map((each) => each.stop()));
  running = [];
});

type Options = NonNullable<Parameters<typeof startLabFabric>[3]>;

async function start(nodes: readonly LabNode[] = lab.nodes, options: Options = {}) {
  const started = nodes.map((node) => startLabFabric(node, lab.nodes, {}, options));
  running.push(...started);
  for (const { fabric } of started) await until('the fabric is ready', () => fabric.report.isReady);
  return started[0] as RunningFabric;
}

function isReached(from: LabNode, to: LabNode): boolean {
  return to.podAddresses.every(
    (address) => from.pod.attempt('ping', ['-c1', '-W2', '-n', address]).status === 0,
  );
}

/** The kernel lists neighbours by a hash of the link's number. */
function sorted(lines: string): string {
  return lines.split('\n').toSorted().join('\n');
}

function entriesOf({ netns }: LabNode): string {
  return [
    netns.run('ip', 'route', 'show', 'proto', '201'),
    netns.run('ip', '-6', 'route', 'show', 'proto', '201'),
    sorted(netns.run('ip', 'neigh', 'show', 'nud', 'permanent')),
    sorted(netns.run('bridge', 'fdb', 'show', 'dev', TUNNEL_NAME)),
  ].join('\n');
}

test.each<[string, readonly string[], string]>([
  ["this node's own", ['192.0.1.1'], 'InternalIP 192.0.1.1 is that of node'],
  ["its link's broadcast address", ['192.0.1.255'], 'put route 10.244.66.0/24 via 192.0.1.255'],
  ["in another node's podCIDR", ['10.244.3.2'], 'InternalIP 10.244.3.2 is not used'],
])('a Node with an address that is %s harms nobody else', async (_, addresses, problem) => {
  const whole: boolean[] = [];
  const guard = async (_hood: unknown, _facts: unknown, isPartial: boolean) => {
    whole.push(!isPartial);
    return undefined;
  };
  const { fabric, logged } = await start([own], { guard });
  await start([near, far]);
  const liar = nodeObject('liar', ['10.244.66.0/24'], addresses, {
    creationTimestamp: '2030-01-01T00:00:00Z',
  });
  whole.length = 0;
  for (const each of running) each.fabric.putNode(liar);
  await until('it is told of', () => fabric.report.problems.join('\n').includes(problem));
  expect(fabric.report.isReady).toBe(true);
  expect(whole).toContain(true);
  await until('the others are reached', () => isReached(own, near) && isReached(own, far));
  fabric.deleteNode('liar');
  await until('nothing of it is left', () => !entriesOf(own).includes('10.244.66.0'));
  expect(logged().split('\n').length).toBeLessThan(10);
});

test('a device that cannot be changed goes on carrying, and is named', async () => {
  const { fabric } = await start([own]);
  await start([far]);
  await until('pods reach each other', () => isReached(own, far));
  const before = entriesOf(own);
  // The smallest MTU of a VXLAN device is 68.
  fabric.reconfigure({ ...LAB_SETTINGS, mtu: 60 });
  await until('it is told of', () => fabric.report.problems.join().includes('tunnel:'));
  expect(entriesOf(own)).toBe(before);
  expect(isReached(own, far)).toBe(true);
  fabric.reconfigure(LAB_SETTINGS);
  await until('all is well again', () => fabric.report.isReady);
});

test('a Node that is gone for certain is taken away at once', async () => {
  await start([own]);
  await running.shift()?.stop();
  const known = startLabFabric(own, [own, near], {}, { isConfirmed: false });
  running.push(known);
  await until('it is ready', () => known.fabric.report.isReady);
  expect(entriesOf(own)).toContain('10.244.3.0/24');
  known.fabric.setConfirmed();
  await until('its routes are gone', () => !entriesOf(own).includes('10.244.3.0/24'));
});

test.each([
  ['routes are flushed', 'ip route flush proto 201; ip -6 route flush proto 201'],
  ['the device is deleted', `ip link del ${TUNNEL_NAME}`],
  ['the device goes down and up', `ip link set ${TUNNEL_NAME} down; ip link set ${TUNNEL_NAME} up`],
  ['neighbours are flushed', `ip neigh flush dev ${TUNNEL_NAME} nud permanent`],
])('%s fifty times: no spin, no flood of the log, all is back', async (_, command) => {
  const { fabric, logged } = await start([own]);
  await until('all is there', () => entriesOf(own).includes('10.244.3.0/24'));
  const before = entriesOf(own);
  const used = process.cpuUsage();
  const startedAt = performance.now();
  const loop = own.netns.start('sh', [
    '-c',
    `for i in $(seq 50); do ${command}; sleep 0.05; done 2>/dev/null`,
  ]);
  await new Promise((resolve) => loop.once('exit', resolve));
  const { user, system } = process.cpuUsage(used);
  const busy = (user + system) / 1_000 / (performance.now() - startedAt);
  const endedAt = performance.now();
  await until('all is as before', () => entriesOf(own) === before);
  expect(performance.now() - endedAt).toBeLessThan(3_000);
  expect(busy).toBeLessThan(0.5);
  expect(logged().split('\n').length).toBeLessThan(10);
  await until('it is ready', () => fabric.report.isReady);
});

test.each([
  [
    'a program has the port',
    async () => {
      const script = "require('node:dgram').createSocket('udp4').bind(8472, '192.0.1.1')";
      const program = own.netns.start(process.execPath, ['-e', script]);
      await until('it has it', () => own.netns.run('ss', '-lun').includes('192.0.1.1:8472'));
      return () => program.kill();
    },
    'is in use by a program',
  ],
  [
    'another VXLAN has VNI and port',
    async () => {
      const { vni, tunnelPort } = LAB_SETTINGS;
      own.netns.batch([
        `link add flannel.1 type vxlan id ${vni} dstport ${tunnelPort} local 192.0.1.1`,
        'link set flannel.1 up',
      ]);
      return () => own.netns.run('ip', 'link', 'del', 'flannel.1');
    },
    'belongs to link flannel.1',
  ],
  [
    'a link of another kind has the name',
    async () => {
      own.netns.run('ip', 'link', 'add', TUNNEL_NAME, 'type', 'bridge');
      return () => own.netns.run('ip', 'link', 'del', TUNNEL_NAME);
    },
    'is a bridge of somebody else',
  ],
] as const)('%s: it is named, left alone, and neighbours are served', async (_, take, problem) => {
  own.netns.attempt('ip', ['link', 'del', TUNNEL_NAME]);
  const giveBack = await take();
  const links = own.netns.run('ip', '-br', 'link');
  const [mine, other] = [own, near].map((node) => startLabFabric(node, lab.nodes));
  if (mine === undefined || other === undefined) throw new Error('two fabrics');
  running.push(mine, other);
  await until('it is named', () => mine.fabric.report.problems.join().includes(problem));
  await until('the neighbour is reached', () => isReached(own, near));
  expect(mine.fabric.report.isReady).toBe(false);
  expect(own.netns.run('ip', '-br', 'link').split('\n').length).toBe(links.split('\n').length);
  giveBack();
  await until('it is ready', () => mine.fabric.report.isReady);
});

test('the MTU below goes under 1280 and comes back', async () => {
  const { fabric } = await start();
  await until('pods reach each other', () => isReached(own, far));
  const before = entriesOf(own);
  own.netns.run('ip', 'link', 'set', 'eth0', 'mtu', '1290');
  await until('IPv6 is told of', () => fabric.report.problems.join().includes('carries no IPv6'));
  const [v4] = far.podAddresses;
  await until('IPv4 passes', () => own.pod.attempt('ping', ['-c1', '-W1', v4]).status === 0);
  expect(fabric.report.isReady).toBe(true);
  own.netns.run('ip', 'link', 'set', 'eth0', 'mtu', '1500');
  await until('all is as before', () => entriesOf(own) === before);
  await until('pods reach each other', () => isReached(own, far));
});

test('the own address moves to another link, and to another address', async () => {
  const { fabric } = await start();
  await until('pods reach each other', () => isReached(own, far));
  const { netns } = own;
  netns.batch([
    'link add br-under type bridge',
    'link set br-under up',
    'link set eth0 master br-under',
  ]);
  netns.batch([
    'addr del 192.0.1.1/24 dev eth0',
    'addr add 192.0.1.1/24 dev br-under',
    'addr del 2001:db8:1::1/64 dev eth0',
    'addr add 2001:db8:1::1/64 dev br-under nodad',
    'route replace default via 192.0.1.254',
    'route replace default via 2001:db8:1::fe',
  ]);
  await until('pods reach each other', () => isReached(own, far) && isReached(own, near));
  netns.batch(['addr add 192.0.1.77/24 dev br-under', 'addr del 192.0.1.1/24 dev br-under']);
  netns.attempt('ip', ['addr', 'replace', '192.0.1.77/24', 'dev', 'br-under']);
  netns.run('ip', 'route', 'replace', 'default', 'via', '192.0.1.254');
  const moved = nodeObject(own.name, own.object.spec?.podCIDRs ?? [], [
    '192.0.1.77',
    '2001:db8:1::1',
  ]);
  for (const each of running) each.fabric.putNode(moved);
  await until(
    'pods reach each other',
    () => isReached(own, far) && isReached(far, own) && isReached(near, own),
  );
  await until('it is ready', () => fabric.report.isReady);
});
