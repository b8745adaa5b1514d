/** Installed agents whose nodes know each other by a route reflector alone, with packets of their pods. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cluster, type Pod } from '../support/cluster.ts';
import { nodeManifest } from '../support/manifests.ts';
import { startBirdOf } from '../support/routed-cluster.ts';
import { until } from '../support/until.ts';

const REFLECTOR = 1;

let cluster: Cluster;
let pods: readonly Pod[];

beforeAll(async () => {
  // No back end makes routes: BGP's are the only ones.
  const routing = { topology: 'reflectors' };
  cluster = new Cluster(3, 'rr', { fabric: 'none', routing });
  const manifests = cluster.nodes.map(({ number }) => {
    const { metadata, ...node } = nodeManifest(number);
    const labels = number === REFLECTOR ? { 'weft.dev/route-reflector': 'true' } : {};
    return { ...node, metadata: { ...metadata, labels } };
  });
  cluster.writeManifest('nodes.yaml', manifests);
  for (const node of cluster.nodes) await node.startAgent();
  for (const node of cluster.nodes) await startBirdOf(node);
  pods = await Promise.all(cluster.nodes.map((node) => node.createPod(`pod-${node.number}`)));
}, 120_000);

afterAll(() => cluster?.remove());

function isReached(from: Pod, address: string): boolean {
  const words = [`--net=${from.netnsPath}`, 'ping', '-c1', '-W1', '-n', '-q', address];
  try {
    execFileSync('nsenter', words, { stdio: 'ignore', timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}

test('pods of all nodes reach each other over both families', async () => {
  for (const from of pods) {
    for (const to of pods.filter((pod) => pod !== from)) {
      for (const address of to.addresses) {
        await until(`${from.name} reaches ${address}`, () => isReached(from, address));
      }
    }
  }
});

test('nodes talk to the reflector alone, and have all routes from BIRD', () => {
  for (const { name, netns, number } of cluster.nodes) {
    const routes = ['-4', '-6'].map(
      (family) =>
        netns.run('ip', family, 'route', 'show', 'proto', 'bird').trim().split('\n').length,
    );
    expect(routes, name).toEqual([2, 2]);
    const sessions = netns.run(
      'ss',
      '-Htn',
      'state',
      'established',
      '( sport = :179 or dport = :179 )',
    );
    const count = sessions.trim().split('\n').length;
    expect(count, name).toBe(number === REFLECTOR ? 4 : 2);
  }
});
