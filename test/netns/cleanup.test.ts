import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cluster, type ClusterNode, WEFT_BINARY } from '../support/cluster.ts';
import { serviceManifest } from '../support/manifests.ts';

let cluster: Cluster;

beforeAll(() => {
  cluster = new Cluster(1, 'clean');
  cluster.writeManifest('web.yaml', [
    serviceManifest({ name: 'web', clusterIPs: ['172.30.0.10'], port: 80 }),
  ]);
});

afterAll(() => cluster.remove());

function cleanup(): { readonly status: number; readonly output: string } {
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error('no node');
  const command = [
    `--net=${node.netns.path}`,
    WEFT_BINARY,
    'cleanup',
    '--state-dir',
    node.stateDir,
  ];
  const env = { PATH: process.env['PATH'], WEFT_RUN_DIR: node.runDir };
  try {
    return { status: 0, output: execFileSync('nsenter', command, { env, encoding: 'utf8' }) };
  } catch (error) {
    const { status, stderr } = error as { status: number; stderr: string };
    return { status, output: String(stderr) };
  }
}

function tables({ netns }: ClusterNode): readonly string[] {
  return netns.run('nft', 'list', 'tables').trim().split('\n').sort();
}

test('cleanup refuses beside an agent, removes our tables and no others, spares pods', async () => {
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error('no node');
  const foreign = ['ip theirs', 'inet weftish', 'bridge kube', 'netdev weft-theirs'];
  for (const table of foreign) node.netns.run('nft', `add table ${table}`);
  node.netns.run('nft', 'add table inet weft-left-behind');
  await node.startAgent();
  const pod = await node.createPod('kept');
  expect(cleanup()).toMatchObject({ status: 1, output: expect.stringContaining('is using it') });
  expect(node.netns.run('nft', 'list', 'tables')).toContain('weft-proxy');
  await node.stopAgent();
  mkdirSync(node.stateDir, { recursive: true });
  for (const file of ['last-known-objects.jsonl', 'theirs']) {
    writeFileSync(join(node.stateDir, file), '');
  }
  const { status, output } = cleanup();
  expect(status).toBe(0);
  expect(output).toContain('removed table ip weft-proxy');
  expect(output).toContain('removed table inet weft-left-behind');
  expect(readdirSync(node.stateDir)).toEqual(['theirs']);
  expect(tables(node)).toEqual(foreign.map((table) => `table ${table}`).sort());
  expect(node.netns.run('ip', 'link', 'show', pod.hostLink)).toContain('master cni0');
  expect(existsSync(join(node.dataDir, 'pods', pod.addresses[0] ?? ''))).toBe(true);
  expect(cleanup().output).not.toContain('table');
}, 60_000);
