/** Three nodes with the installed agent, one behind a router; ways between them by weft alone. */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TUNNEL_NAME } from '../../src/fabric/names.ts';
import { Cluster, type ClusterNode, type Pod, plan, WEFT_BINARY } from '../support/cluster.ts';
import { nodeManifest } from '../support/manifests.ts';
import { until } from '../support/until.ts';

let cluster: Cluster;
let near: ClusterNode;
let beside: ClusterNode;
let far: ClusterNode;
const pods = new Map<ClusterNode, Pod>();

beforeAll(async () => {
  cluster = new Cluster(3, 'fab', { fabric: 'auto', farNodes: [3] });
  [near, beside, far] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode];
  const objects = cluster.nodes.map((node) => nodeManifest(node.number, node.addresses));
  cluster.writeManifest('nodes.yaml', objects);
  await Promise.all(cluster.nodes.map((node) => node.startAgent()));
  for (const node of cluster.nodes) pods.set(node, await node.createPod(`p${node.number}`));
}, 60_000);

afterAll(async () => {
  await cluster?.remove();
});

interface Status {
  readonly isHealthy: boolean;
  readonly problems: readonly string[];
  readonly fabric: {
    readonly isReady: boolean;
    readonly mtu: number;
    readonly peers: Readonly<Record<string, number>>;
    readonly paths: Readonly<Record<string, number>>;
  };
}

function status(node: ClusterNode): Status {
  const args = ['status', '--run-dir', node.runDir, '--output', 'json'];
  const { stdout } = node.netns.attempt(WEFT_BINARY, args);
  // The shape is this test's to read; a wrong one fails its assertions.
  return JSON.parse(stdout) as Status;
}

/** 1,000 pings, one every 2 ms, and what came of them. */
function pinging(from: ClusterNode, to: ClusterNode): Promise<string> {
  const target = pods.get(to)?.addresses[0] ?? '';
  const args = ['-i0.002', '-c1000', '-W2', '-n', '-q', target];
  const ping = cluster.nodes.includes(from)
    ? from.netns.start('nsenter', [`--net=${pods.get(from)?.netnsPath}`, 'ping', ...args])
    : undefined;
  const output: string[] = [];
  ping?.stdout?.on('data', (data: Buffer) => output.push(data.toString()));
  return new Promise((resolve) => ping?.once('close', () => resolve(output.join(''))));
}

function deviceTo(from: ClusterNode, to: ClusterNode): string {
  const [route] = from.netns.ip<{ dev: string }[]>(
    ...(['route', 'get', pods.get(to)?.addresses[0] ?? ''] as const),
  );
  return route?.dev ?? '';
}

test('weft status tells of the ways to the others', async () => {
  await until('the paths were probed', () => {
    const { paths } = status(near).fabric;
    return paths['full'] === 4;
  });
  const { fabric, problems } = status(near);
  expect(problems).toEqual([]);
  expect(fabric).toMatchObject({ isReady: true, mtu: 1450 });
  expect(fabric.peers).toEqual({ direct: 1, vxlan: 1, unreachable: 0, withoutPods: 0 });
});

describe('no ping of 1,000 is lost', () => {
  test('while the agent is killed and started', async () => {
    const result = Promise.all([pinging(near, beside), pinging(near, far), pinging(far, near)]);
    await near.stopAgent('SIGKILL');
    await near.startAgent();
    for (const output of await result) expect(output).toContain('1000 received, 0% packet loss');
  });

  test('while the configuration file asks for another back end', async () => {
    const result = Promise.all([pinging(near, beside), pinging(beside, near)]);
    for (const backend of ['vxlan', 'host-gw', 'auto'] as const) {
      for (const node of [near, beside]) configure(node, { backend });
      const device = backend === 'vxlan' ? TUNNEL_NAME : 'eth0';
      await until(`both take ${device}`, () =>
        [deviceTo(near, beside), deviceTo(beside, near)].every((each) => each === device),
      );
    }
    for (const output of await result) expect(output).toContain('1000 received, 0% packet loss');
  });
});

function configure({ configFile }: ClusterNode, fabric: object): void {
  const config = JSON.parse(readFileSync(configFile, 'utf8'));
  writeFileSync(configFile, JSON.stringify({ ...config, fabric: { ...config.fabric, ...fabric } }));
}

test('a path that swallows large packets is found and told, with the cure', async () => {
  far.netns.run('nft', 'add', 'table', 'inet', 'small');
  far.netns.run(
    ...(['nft', 'add', 'chain', 'inet', 'small', 'in'] as const),
    '{ type filter hook prerouting priority raw ; }',
  );
  far.netns.run(
    ...(['nft', 'add', 'rule', 'inet', 'small', 'in'] as const),
    ...(['iifname', TUNNEL_NAME, 'meta', 'length', '>', '1400', 'drop'] as const),
  );
  // Paths are looked at once a minute; another MTU asks for it now.
  configure(near, { mtu: 1440 });
  const problem = await until('it is found', () =>
    status(near).problems.find((each) => each.includes('do not arrive (IPv4, by VXLAN)')),
  );
  expect(problem).toMatch(/^node node3: packets of 1440 bytes, .*set fabric\.mtu: 139\d$/);
  far.netns.run('nft', 'delete', 'table', 'inet', 'small');
  configure(near, { mtu: 1430 });
  await until('it is well again', () => {
    const { problems, fabric } = status(near);
    return problems.length === 0 && fabric.paths['full'] === 4;
  });
});

test('a Node that goes takes its entries with it, and one with another address moves them', async () => {
  const [own, two] = [near, beside].map((node) => nodeManifest(node.number, node.addresses));
  cluster.writeManifest(
    'nodes.yaml',
    [own, two].flatMap((each) => each ?? []),
  );
  const routes = () => near.netns.run('ip', 'route', 'show', 'proto', '201');
  const fdb = () => near.netns.run('bridge', 'fdb', 'show', 'dev', TUNNEL_NAME);
  await until('its routes are gone', () => !routes().includes(plan.podCIDRs(3)[0]));
  expect(fdb()).not.toContain(far.addresses[0]);
  const moved = nodeManifest(3, ['192.168.9.77', 'fd00:192:169::77']);
  cluster.writeManifest(
    'nodes.yaml',
    [own, two, moved].flatMap((each) => each ?? []),
  );
  await until('it is where it is now', () => fdb().includes('192.168.9.77'));
  expect(routes()).toContain(plan.podCIDRs(3)[0]);
  const back = cluster.nodes.map((node) => nodeManifest(node.number, node.addresses));
  cluster.writeManifest('nodes.yaml', back);
  await until('it is back', () => fdb().includes(far.addresses[0]));
});
