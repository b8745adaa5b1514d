/** From flannel to weft under running pods, as docs/migrate.md has it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TUNNEL_NAME } from '../../src/fabric/names.ts';
import {
  createFabricLab,
  type FabricLab,
  type LabNode,
  type RunningFabric,
  startLabFabric,
} from '../support/fabric-lab.ts';
import { until } from '../support/until.ts';

let lab: FabricLab;
const running: RunningFabric[] = [];

beforeAll(() => {
  lab = createFabricLab([1, 1, 2]);
});

afterAll(async () => {
  await Promise.all(running.map((each) => each.stop()));
  lab?.remove();
});

const podCIDR = (node: LabNode) => node.object.spec?.podCIDRs?.[0] ?? '';
const first = (cidr: string) => cidr.split('/')[0] ?? '';
const address = (node: LabNode) => node.object.status?.addresses?.[0]?.address ?? '';

/** What flannel's vxlan back end has in the kernel: VNI 1, port 8472, everything static. */
function addFlannel(nodes: readonly LabNode[]): void {
  for (const node of nodes) {
    node.netns.run('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    node.netns.run(
      ...([
        'ip',
        'link',
        'add',
        'flannel.1',
        'type',
        'vxlan',
        'id',
        '1',
        'dstport',
        '8472',
      ] as const),
      ...(['local', address(node), 'dev', 'eth0', 'nolearning'] as const),
    );
    node.netns.batch([
      `addr add ${first(podCIDR(node))}/32 dev flannel.1`,
      'link set flannel.1 up mtu 1450',
    ]);
  }
  for (const node of nodes) {
    for (const peer of nodes.filter((other) => other !== node)) {
      const [link] = peer.netns.ip<{ address: string }[]>('link', 'show', 'flannel.1');
      const [gateway, mac] = [first(podCIDR(peer)), link?.address ?? ''];
      node.netns.batch([
        `neigh add ${gateway} lladdr ${mac} dev flannel.1 nud permanent`,
        `route add ${podCIDR(peer)} via ${gateway} dev flannel.1 onlink`,
      ]);
      node.netns.run('bridge', 'fdb', 'add', mac, 'dev', 'flannel.1', 'dst', address(peer));
    }
  }
}

function deviceTo(from: LabNode, to: LabNode): string {
  const [route] = from.netns.ip<{ dev: string }[]>('route', 'get', to.podAddresses[0]);
  return route?.dev ?? '';
}

interface Pinging {
  /** Ends it, and gives the numbers of those that were not answered. */
  end(): Promise<readonly string[]>;
}

function startPinging(from: LabNode, to: LabNode): Pinging {
  const args = ['-i0.005', '-w60', '-W2', '-n', '-O', to.podAddresses[0]];
  const ping = from.pod.start('ping', args);
  const output: string[] = [];
  ping.stdout?.on('data', (data: Buffer) => output.push(data.toString()));
  const ended = new Promise((resolve) => ping.once('close', resolve));
  return {
    async end() {
      ping.kill('SIGINT');
      await ended;
      const text = output.join('');
      expect(text).toMatch(/[1-9]\d* received/);
      return text.match(/no answer yet for icmp_seq=\d+/g) ?? [];
    },
  };
}

test('flannel is replaced node by node, and no ping is lost', async () => {
  const [a, b, far] = lab.nodes as [LabNode, LabNode, LabNode];
  addFlannel(lab.nodes);
  for (const to of [b, far]) {
    await until('pods reach each other by flannel', () => {
      return a.pod.attempt('ping', ['-c1', '-W1', '-n', to.podAddresses[0]]).status === 0;
    });
  }
  const pinging = [startPinging(a, b), startPinging(b, far), startPinging(far, a)];

  for (const node of lab.nodes) running.push(startLabFabric(node, lab.nodes));
  for (const { fabric } of running) await until('it is ready', () => fabric.report.isReady);
  expect(deviceTo(a, far)).toBe('flannel.1');
  expect(running[0]?.fabric.report.problems).toContainEqual(
    expect.stringMatching(
      /^node n3: the route 10\.244\.3\.0\/24 by link flannel\.1, .* taken before ours/,
    ),
  );

  for (const node of lab.nodes) node.netns.run('ip', 'route', 'flush', 'dev', 'flannel.1');
  expect([deviceTo(a, b), deviceTo(a, far), deviceTo(far, a)]).toEqual([
    ...['eth0', TUNNEL_NAME, TUNNEL_NAME],
  ]);
  for (const node of lab.nodes) node.netns.run('ip', 'link', 'del', 'flannel.1');
  for (const { fabric } of running) {
    await until('nothing is wrong', () => fabric.report.problems.length === 0);
  }

  for (const each of pinging) expect(await each.end()).toEqual([]);
});
