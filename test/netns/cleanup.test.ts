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

function cleanup(...flags: string[]): { readonly status: number; readonly output: string } {
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error('no node');
  const command = [
    `--net=${node.netns.path}`,
    WEFT_BINARY,
    'cleanup',
    '--state-dir',
    node.stateDir,
    ...flags,
  ];
  const env = { ...process.env, WEFT_RUN_DIR: node.runDir };
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
  const sandbox = { name: 'kept', ...(await node.createSandbox('kept')) };
  const added = node.cni('ADD', sandbox, node.networkConfiguration({ ipMasq: true }));
  const { ips, interfaces } = JSON.parse(added.stdout);
  expect(cleanup()).toMatchObject({ status: 1, output: expect.stringContaining('is using it') });
  const dry = cleanup('--dry-run');
  expect(dry.output).toMatch(/^would be refused: .*the agent with pid \d+ is using it/);
  expect(dry.output).toContain('would keep table ip weft-proxy\n');
  expect(node.netns.run('nft', 'list', 'tables')).toContain('weft-proxy');
  await node.stopAgent();
  mkdirSync(node.stateDir, { recursive: true });
  for (const file of ['last-known-objects.jsonl', 'theirs']) {
    writeFileSync(join(node.stateDir, file), '');
  }
  const label = 'pods/kept-sandbox/eth0';
  const address: string = ips[0].address.split('/')[0];
  const unforced = cleanup();
  expect(unforced.status).toBe(0);
  expect(unforced.output).toContain('kept table ip weft-proxy\n');
  expect(unforced.output).toMatch(
    new RegExp(`removed masquerade of ${address}, \\S+ of ${label}: rules of iptables`),
  );
  expect(node.netns.run('iptables-save', '-t', 'nat')).toContain(`-s ${address}/32`);
  expect(node.netns.run('nft', 'list', 'tables')).not.toContain('inet weft-cni');
  expect(cleanup('--component', 'proxy', '--force', '--dry-run').output).toContain(
    'would remove table ip weft-proxy\n',
  );
  const proxy = cleanup('--component', 'proxy', '--force');
  expect(proxy.output).toContain('removed table ip weft-proxy\n');
  expect(proxy.output).toContain('removed table inet weft-left-behind\n');
  expect(readdirSync(node.stateDir)).toEqual(['theirs']);
  const own = tables(node).filter((table) => !/ (nat|filter)$/.test(table));
  expect(own).toEqual(foreign.map((table) => `table ${table}`).sort());
  expect(node.netns.run('ip', 'link', 'show', interfaces[1].name)).toContain('master cni0');
  expect(existsSync(join(node.dataDir, 'pods', address))).toBe(true);
  expect(cleanup().output).toBe('nothing of weft is left on this node\n');
}, 60_000);

test('host ports in iptables stay with their pod, and go where that is forced', async () => {
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error('no node');
  const sandbox = { name: 'published', ...(await node.createSandbox('published')) };
  const portMappings = [{ hostPort: 8_088, containerPort: 80, protocol: 'tcp' }];
  const conf = node.networkConfiguration({ backend: 'iptables', runtimeConfig: { portMappings } });
  expect(node.cni('ADD', sandbox, conf)).toMatchObject({ status: 0 });
  const rules = () =>
    ['iptables-save', 'ip6tables-save'].flatMap(
      (program) => node.netns.run(program, '-t', 'nat').match(/^.*8088.*$/gm) ?? [],
    );
  const before = rules();
  expect(before).not.toEqual([]);
  expect(cleanup().output).toMatch(/^kept host ports 8088\/tcp, 8088\/tcp of .*published/m);
  expect(rules()).toEqual(before);
  const forced = cleanup('--component', 'cni', '--force').output;
  expect(forced).toContain(
    'removed rules of iptables for host ports of pods/published-sandbox/eth0',
  );
  expect(rules()).toEqual([]);
}, 60_000);

test('cleanup leaves alone what keeps bridges of living pods apart', async () => {
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error('no node');
  const sandbox = { name: 'apart', ...(await node.createSandbox('apart')) };
  const network = node.networkConfiguration();
  const added = node.cni('ADD', sandbox, network);
  const firewall = {
    ...{ cniVersion: '1.0.0', name: 'pods', type: 'firewall', ingressPolicy: 'same-bridge' },
    prevResult: JSON.parse(added.stdout),
  };
  expect(node.cni('ADD', sandbox, firewall)).toMatchObject({ status: 0 });
  expect(cleanup('--component', 'proxy', '--force').output).not.toContain('weft-isolation');
  expect(cleanup().output).toContain('kept isolation of cni0 of pods/apart-sandbox/eth0\n');
  expect(node.netns.run('nft', 'list', 'tables')).toContain('weft-isolation');
  expect(cleanup('--force').output).toContain('removed table inet weft-isolation\n');
}, 60_000);
