/** Kills, links and routes that go, and Nodes with whatever names and lives. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { TUNNEL_NAME, tunnelMac } from '../../src/fabric/names.ts';
import { randomStream } from '../faults/random.ts';
import {
  connectNode,
  createFabricLab,
  type FabricLab,
  type LabNode,
  type RunningFabric,
  startLabFabric,
} from '../support/fabric-lab.ts';
import { node as nodeObject } from '../support/fabric-objects.ts';
import { connect } from '../support/netns.ts';
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

async function start(): Promise<RunningFabric> {
  const started = lab.nodes.map((node) => startLabFabric(node, lab.nodes));
  running.push(...started);
  for (const { fabric } of started) await until('the fabric is ready', () => fabric.report.isReady);
  return started[0] as RunningFabric;
}

function isReached(from: LabNode, to: LabNode): boolean {
  return to.podAddresses.every(
    (address) => from.pod.attempt('ping', ['-c1', '-W2', '-n', address]).status === 0,
  );
}

function routesOf({ netns }: LabNode): string {
  return netns.run('ip', 'route', 'show', 'proto', '201');
}

function tunnelNumber(): number | undefined {
  return own.netns.ip<{ ifindex: number }[]>('link', 'show', 'dev', TUNNEL_NAME)[0]?.ifindex;
}

/** Tells all of one Node. */
function tell(object: LabNode['object']): void {
  for (const { fabric } of running) fabric.putNode(object);
}

test('the default routes go and come back: neighbours are reached all the time', async () => {
  const { fabric } = await start();
  await until('pods reach each other', () => isReached(own, far) && isReached(own, near));
  own.netns.run('ip', 'route', 'del', 'default');
  own.netns.run('ip', '-6', 'route', 'del', 'default');
  await until('it is told of', () => fabric.report.problems.join().includes('no route leads to'));
  expect(isReached(own, near)).toBe(true);
  expect(routesOf(own)).toContain(`10.244.3.0/24`);
  expect(fabric.report.isReady).toBe(true);
  own.netns.batch(['route add default via 192.0.1.254', 'route add default via 2001:db8:1::fe']);
  await until('all is well', () => fabric.report.problems.length === 0);
  await until('pods reach each other', () => isReached(own, far));
});

test('the link below is deleted and made again: all is back, with its new number', async () => {
  const { fabric } = await start();
  await until('pods reach each other', () => isReached(own, far) && isReached(own, near));
  const tunnel = tunnelNumber();
  const [before] = own.netns.ip<{ address: string }[]>('link', 'show', 'dev', 'eth0');
  own.netns.run('ip', 'link', 'del', 'eth0');
  await sleep(500);
  connectNode(own.netns, lab.router, 1, 1);
  // Of another one neighbours would learn when they ask again, in half a minute.
  own.netns.run('ip', 'link', 'set', 'eth0', 'address', before?.address ?? '');
  await until('pods reach each other', () => isReached(own, far) && isReached(own, near));
  await until('all is well', () => fabric.report.isReady && fabric.report.problems.length === 0);
  expect(tunnelNumber()).toBe(tunnel);
});

test('a second link takes over the InternalIP, and goes again', async () => {
  const { fabric } = await start();
  await until('pods reach each other', () => isReached(own, far));
  const [v4 = '', v6 = ''] = own.object.spec?.podCIDRs ?? [];
  connect({ netns: own.netns, link: 'eth1' }, { netns: lab.router, link: 'to-n1b' });
  own.netns.run('ip', 'addr', 'add', '198.51.100.1/24', 'dev', 'eth1');
  lab.router.run('ip', 'addr', 'add', '198.51.100.254/24', 'dev', 'to-n1b');
  tell(nodeObject(own.name, [v4, v6], ['198.51.100.1', '2001:db8:1::1']));
  await until('the tunnel comes from there', () =>
    own.netns.run('ip', '-d', 'link', 'show', TUNNEL_NAME).includes('local 198.51.100.1'),
  );
  await until('pods reach each other', () => isReached(own, far) && isReached(far, own));
  own.netns.run('ip', 'link', 'del', 'eth1');
  tell(own.object);
  await until('pods reach each other', () => isReached(own, far) && isReached(own, near));
  await until('all is well', () => fabric.report.isReady && fabric.report.problems.length === 0);
});

test('a Node of the same name with another uid and other podCIDRs is another one', async () => {
  const { fabric } = await start();
  const heir = nodeObject(far.name, ['10.244.33.0/24', 'fd00:33::/64'], ['192.0.2.3'], {
    uid: 'another',
    creationTimestamp: '2030-01-01T00:00:00Z',
  });
  tell(heir);
  await until('its routes are there', () => routesOf(own).includes('10.244.33.0/24'));
  await until('the former are gone', () => !routesOf(own).includes('10.244.3.0/24'));
  expect(own.netns.run('ip', '-6', 'route', 'show', 'proto', '201')).not.toContain('fd00:3::/64');
  tell(far.object);
  await until('pods reach each other', () => isReached(own, far));
  expect(fabric.report.problems).toEqual([]);
});

test('names of Nodes are only names', async () => {
  const { fabric } = await start();
  const label = 'x'.repeat(61);
  const names = [
    'node.with.dots.example.com',
    [label, label, label, label, 'abcde'].join('.'),
    'UPPER',
    'upper',
    '-leading',
    '$(reboot)',
    '../../etc/passwd',
    'ünï€ode',
    '__proto__',
    'constructor',
    'a b\nc',
  ];
  const objects = names.map((name, i) =>
    nodeObject(name, [`10.245.${i}.0/24`, `fd01:${i}::/64`], [`203.0.113.${i + 1}`]),
  );
  for (const object of objects) fabric.putNode(object);
  await until('all are peers', () => fabric.report.peers.length === names.length + 2);
  await until('all are in the kernel', () =>
    names.every((_, i) => routesOf(own).includes(`10.245.${i}.0/24`)),
  );
  const forwarding = own.netns.run('bridge', 'fdb', 'show', 'dev', TUNNEL_NAME);
  for (const name of names) expect(forwarding).toContain(tunnelMac(name));
  expect(new Set(names.map(tunnelMac)).size).toBe(names.length);
  expect(fabric.report).toMatchObject({ isReady: true, problems: [] });
  for (const name of names) fabric.deleteNode(name);
  await until('nothing of them is left', () => !routesOf(own).includes('10.245.'));
});

test('killed and started fifty times at any moment: no ping is lost', async () => {
  await start();
  await until('pods reach each other', () => isReached(own, near) && isReached(own, far));
  await running.shift()?.stop();
  const targets = [near.podAddresses[0], far.podAddresses[1]];
  const pinging = targets.map((address) => {
    const program = own.pod.start('ping', ['-i0.002', '-W2', '-n', '-q', address]);
    let text = '';
    program.stdout?.on('data', (data: Buffer) => {
      text += data.toString();
    });
    return async () => {
      const ended = new Promise((resolve) => program.once('close', resolve));
      program.kill('SIGINT');
      await ended;
      return text;
    };
  });
  const random = randomStream(7);
  for (let i = 0; i < 50; i++) await runUntilKilled(i % 5 === 0 ? undefined : random() * 300);
  for (const end of pinging) expect(await end()).toContain(' received, 0% packet loss');
}, 300_000);

/** Kills it so many milliseconds after it began, or when it is ready. */
async function runUntilKilled(afterMs: number | undefined): Promise<void> {
  const script = new URL('fabric-killed-agent.ts', import.meta.url).pathname;
  const nodes = JSON.stringify(lab.nodes.map(({ object }) => object));
  const program = own.netns.start('env', [
    `WEFT_TEST_NODES=${nodes}`,
    process.execPath,
    script,
    own.name,
  ]);
  let text = '';
  program.stdout?.on('data', (data: Buffer) => {
    text += data.toString();
  });
  const ended = new Promise((resolve) => program.once('exit', resolve));
  await until('it begins', () => text.includes(afterMs === undefined ? 'ready' : 'begins'));
  await sleep(afterMs ?? 0);
  program.kill('SIGKILL');
  await ended;
}
