/** Addresses, links and routes below that go and come back, and what others do beside the fabric. */
import { setTimeout as sleep } from 'node:timers/promises';
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

/** Number, address and entries of the tunnel device. */
function tunnelOf({ netns }: LabNode): string {
  return [
    netns.run('ip', '-d', '-o', 'link', 'show', TUNNEL_NAME).replace(/ gso.*/, ''),
    netns.run('bridge', 'fdb', 'show', 'dev', TUNNEL_NAME).split('\n').toSorted().join('\n'),
  ].join('\n');
}

test.each([
  ['IPv4', '192.0.1.1/24', ['route replace default via 192.0.1.254']],
  ['IPv6', '2001:db8:1::1/64', ['route replace default via 2001:db8:1::fe']],
])(
  'the %s address of the node goes for a moment: the tunnel stays as it is',
  async (_, address, routes) => {
    const { fabric } = await start();
    await until('pods reach each other', () => isReached(own, far) && isReached(own, near));
    const before = tunnelOf(own);
    own.netns.run('ip', 'addr', 'del', address, 'dev', 'eth0');
    await until('it is noticed', () => fabric.report.notices.join().includes('at the moment'));
    await sleep(1_000);
    expect(tunnelOf(own)).toBe(before);
    own.netns.batch([
      `addr add ${address} dev eth0 nodad`.replace(/(24 .*) nodad/, '$1'),
      ...routes,
    ]);
    await until('it is as before', () => fabric.report.notices.length === 0);
    await until('pods reach each other', () => isReached(own, far) && isReached(own, near));
    expect(tunnelOf(own)).toBe(before);
    expect(fabric.report).toMatchObject({ isReady: true, problems: [] });
  },
);

test('a foreign VXLAN with VNI and port is a note while nobody needs the tunnel, else a problem', async () => {
  const { vni, tunnelPort } = LAB_SETTINGS;
  own.netns.attempt('ip', ['link', 'del', TUNNEL_NAME]);
  own.netns.batch([
    `link add flannel.1 type vxlan id ${vni} dstport ${tunnelPort} local 192.0.1.1`,
    'link set flannel.1 up',
  ]);
  running.push(startLabFabric(own, [own, near]), startLabFabric(near, lab.nodes));
  const { fabric } = running[0] as RunningFabric;
  await until('it is ready', () => fabric.report.isReady);
  expect(fabric.report.problems).toEqual([]);
  expect(fabric.report.notices.join()).toContain('belongs to link flannel.1');
  await until('the neighbour is reached', () => isReached(own, near));
  fabric.putNode(far.object);
  await until('it is a problem', () => fabric.report.problems.join().includes('flannel.1'));
  expect(fabric.report.isReady).toBe(false);
  own.netns.run('ip', 'link', 'del', 'flannel.1');
  await until('it is ready', () => fabric.report.isReady);
  expect(fabric.report.notices).toEqual([]);
});
