/** After `weft cleanup --all` the sysctls of a node are what they were, unless others rely on them. */
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Cluster, type ClusterNode, WEFT_BINARY } from '../support/cluster.ts';
import { serviceManifest } from '../support/manifests.ts';

let cluster: Cluster;
let node: ClusterNode;

beforeEach(() => {
  cluster = new Cluster(1, 'sysctls');
  cluster.writeManifest('web.yaml', [
    serviceManifest({ name: 'web', clusterIPs: ['172.30.0.10'], port: 80 }),
  ]);
  const [first] = cluster.nodes;
  if (first === undefined) throw new Error('no node');
  node = first;
  // A node where nobody needed them yet.
  node.netns.run('sysctl', '-qw', 'net.ipv4.ip_forward=0', 'net.ipv6.conf.all.forwarding=0');
  node.netns.run('sysctl', '-qw', 'net.ipv6.conf.eth0.accept_ra=1');
  node.netns.run('nft', 'add table ip loads');
  node.netns.run('nft', 'add chain ip loads c { type filter hook input priority 0; }');
  node.netns.run('nft', 'add rule ip loads c ct state new accept');
});
afterEach(() => cluster.remove());

/** All of the namespace's but statistics and those of links that come and go. */
function sysctls(): ReadonlyMap<string, string> {
  const text = node.netns.attempt('sysctl', ['-a', '--pattern', '^net\\.']).stdout;
  const lines = text.split('\n').filter((line) => !/count|\.(veth\w+|cni0|weft\S*)\./.test(line));
  return new Map(lines.map((line) => line.split(' = ') as [string, string]));
}

function differing(before: ReadonlyMap<string, string>): readonly string[] {
  const now = sysctls();
  return [...before.keys()].filter((name) => now.get(name) !== before.get(name)).sort();
}

function cleanup(...flags: string[]): string {
  const command = [
    ...[`--net=${node.netns.path}`, WEFT_BINARY, 'cleanup', '--state-dir', node.stateDir],
    ...['--cni-conf-dir', '/nonexistent', ...flags],
  ];
  const env = { ...process.env, WEFT_RUN_DIR: node.runDir };
  return execFileSync('nsenter', command, { env, encoding: 'utf8' });
}

/** An agent that has served a pod and is gone, and the pod with it. */
async function serveAndStop(): Promise<void> {
  await node.startAgent();
  const sandbox = { name: 'one', ...(await node.createSandbox('one')) };
  expect(node.cni('ADD', sandbox, node.networkConfiguration({ ipMasq: true })).status).toBe(0);
  expect(node.cni('DEL', sandbox, node.networkConfiguration({ ipMasq: true })).status).toBe(0);
  await node.stopAgent();
}

test('what an agent has set is what it was, and what somebody set since stays', async () => {
  const before = sysctls();
  await serveAndStop();
  const changed = differing(before);
  expect(changed).toEqual(
    expect.arrayContaining([
      'net.ipv4.ip_forward',
      'net.ipv6.conf.all.forwarding',
      'net.netfilter.nf_conntrack_tcp_timeout_close_wait',
    ]),
  );
  node.netns.run('sysctl', '-qw', 'net.netfilter.nf_conntrack_tcp_timeout_established=777');
  // The bridge of this network is not one that an agent configures: it is the runtime's to remove.
  node.netns.attempt('ip', ['link', 'delete', 'cni0']);
  const dry = cleanup('--all', '--force', '--dry-run');
  expect(dry).toContain('would remove value 1 of sysctl net/ipv4/ip_forward, which was 0\n');
  expect(differing(before).length).toBeGreaterThan(2);
  cleanup('--all', '--force');
  expect(differing(before)).toEqual(['net.netfilter.nf_conntrack_tcp_timeout_established']);
  expect(cleanup('--all', '--force')).toBe('nothing of weft is left on this node\n');
}, 90_000);

test('what others rely on stays, and is told with their name', async () => {
  const before = sysctls();
  await serveAndStop();
  node.netns.attempt('ip', ['link', 'delete', 'cni0']);
  node.netns.run('ip', 'link', 'add', 'docker0', 'up', 'type', 'bridge');
  const said = cleanup('--all', '--force');
  expect(said).toContain(
    'left value 1 of sysctl net/ipv4/ip_forward, which was 0: link docker0 needs it\n',
  );
  expect(node.netns.run('sysctl', '-n', 'net.ipv4.ip_forward')).toBe('1\n');
  const timeout = 'net.netfilter.nf_conntrack_tcp_timeout_close_wait';
  expect(sysctls().get(timeout)).toBe(before.get(timeout));
}, 90_000);
