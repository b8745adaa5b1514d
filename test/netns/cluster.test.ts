/** The installed tree as a node runs it: agent, shim and standalone together, with real traffic. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster, type ClusterNode, type Pod } from '../support/cluster.ts';
import { nodeManifest, serviceManifest, sliceManifests } from '../support/manifests.ts';
import { until } from '../support/until.ts';
import {
  probe,
  type RunningProgram,
  repeatedSyns,
  startIn,
  startServer,
  total,
} from '../support/workloads.ts';

const PORT = 8080;
const WEB = { name: 'web', clusterIPs: ['172.30.0.10', 'fd00:172:30::10'], port: 80 };
const PATIENT_MS = 20_000;
const STREAM = new URL('../support/workloads/stream.ts', import.meta.url).pathname;

let cluster: Cluster;
let node1: ClusterNode;
let node2: ClusterNode;
let client: Pod;
const pods: Pod[] = [];
const servers: RunningProgram[] = [];

function publish(names: readonly string[]): void {
  const endpoints = pods
    .filter((pod) => names.includes(pod.name))
    .map((pod) => ({ addresses: pod.addresses, nodeName: pod.node.name }));
  cluster.writeManifest('web.yaml', [
    serviceManifest(WEB),
    ...sliceManifests(WEB, PORT, endpoints),
  ]);
}

const web = (count = 40, timeoutMs = 2_000) =>
  probe(client.netnsPath, { host: '172.30.0.10', port: 80, count, timeoutMs });
const inClient = {
  run: (...words: readonly string[]) =>
    execFileSync('nsenter', [`--net=${client.netnsPath}`, ...words], { encoding: 'utf8' }),
};

beforeAll(async () => {
  cluster = new Cluster(2, 'e2e');
  [node1, node2] = cluster.nodes as [ClusterNode, ClusterNode];
  cluster.writeManifest('nodes.yaml', [nodeManifest(1), nodeManifest(2)]);
  await node1.startAgent();
  for (const [name, node] of [
    ['web-1', node1],
    ['web-2', node2],
    ['client', node1],
  ] as const) {
    const pod = await node.createPod(name);
    pods.push(pod);
    servers.push(await startServer(pod.netnsPath, name, PORT));
  }
  client = pods.find((pod) => pod.name === 'client') as Pod;
  publish(['web-1', 'web-2']);
  await until('both servers answer', async () => {
    const { servers: answered, errors } = await web();
    return Object.keys(answered).length === 2 && total(errors) === 0;
  });
}, 60_000);

afterAll(async () => {
  for (const server of servers) await server.end('SIGKILL');
  await cluster.remove();
});

describe('agent and shim', () => {
  test('a pod is wired through the agent, and without it by the standalone', () => {
    expect(node1.agent?.output()).toContain('cni request served');
    expect(node2.agent).toBeUndefined();
    expect(pods.map((pod) => pod.addresses.length)).toEqual([2, 2, 2]);
  });

  test('both paths keep one store: an address is never given twice', async () => {
    const viaAgent = await node1.createPod('one');
    await node1.stopAgent();
    const alone = await node1.createPod('two');
    await node1.startAgent();
    const again = await node1.createPod('three');
    const addresses = [viaAgent, alone, again].flatMap((pod) => pod.addresses);
    expect(new Set(addresses).size).toBe(6);
    for (const pod of [viaAgent, alone, again]) {
      expect(node1.deletePod(pod)).toMatchObject({ status: 0, stdout: '' });
    }
    const files = readdirSync(join(node1.dataDir, 'pods'));
    expect(addresses.filter((address) => files.includes(address))).toEqual([]);
  });
});

describe('restart', () => {
  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'after %s the next agent adopts: a connection flows on and new ones are made throughout',
    async (signal) => {
      const command = [process.execPath, STREAM, '172.30.0.10', '80'];
      const stream = await startIn(client.netnsPath, command, 'ready\n');
      await node1.stopAgent(signal);
      // A connection that is lost shows by its repeated SYN; a busy machine only takes its time.
      const repeated = repeatedSyns(inClient);
      const down = await web(100, PATIENT_MS);
      const [during] = await Promise.all([web(600, PATIENT_MS), node1.startAgent()]);
      const after = await web(100, PATIENT_MS);
      expect(repeatedSyns(inClient) - repeated).toBe(0);
      await stream.end('SIGTERM');
      expect(stream.output()).not.toContain('lost');
      expect(stream.output()).toMatch(/returned (\d+) of \1\n/);
      for (const result of [down, during, after]) expect(result.errors).toEqual({});
      expect(total(down.servers)).toBe(100);
    },
    120_000,
  );

  test('an adopting agent leaves elements as they are, counters included', async () => {
    const elements = () =>
      ['service-ips', 'endpoints'].map((map) =>
        node1.netns.run('nft', 'list', 'map', 'ip', 'weft-proxy', map),
      );
    const before = elements();
    expect(before.join()).toMatch(/counter packets [1-9]/);
    await node1.stopAgent();
    await node1.startAgent();
    expect(elements()).toEqual(before);
  });
});

describe('manifests', () => {
  test('a broken file keeps its last good state, the others are applied', async () => {
    writeFileSync(join(cluster.manifests, 'broken.yaml'), 'kind: Service\nspec: [unclosed');
    publish(['web-2']);
    await until('only web-2 answers', async () => {
      const { servers: answered } = await web(20);
      return Object.keys(answered).join() === 'web-2';
    });
    writeFileSync(join(cluster.manifests, 'web.yaml'), '{ "kind": "Service", "spec": {');
    await until('the broken file is reported', async () =>
      Boolean(node1.agent?.output().includes('web.yaml')),
    );
    const { servers: answered, errors } = await web(20);
    expect(answered).toEqual({ 'web-2': 20 });
    expect(errors).toEqual({});
    publish(['web-1', 'web-2']);
    await until('both answer again', async () => Object.keys((await web()).servers).length === 2);
  });
});

describe('API server', () => {
  test('Services from a kubeconfig reach the kernel and follow their changes', async () => {
    const kubeconfig = join(cluster.directory, 'kubeconfig');
    const script = new URL('../support/workloads/api-server.ts', import.meta.url).pathname;
    const api = node2.netns.start(process.execPath, [script, kubeconfig]);
    const send = (command: object) => api.stdin?.write(`${JSON.stringify(command)}\n`);
    const put = (plural: string, object: object) => send({ put: [plural, object] });
    await until('the API server is up', async () => existsSync(kubeconfig));
    put('nodes', nodeManifest(2));
    await node2.startAgent(['--kubeconfig', kubeconfig]);
    put('services', serviceManifest(WEB));
    const [first] = pods;
    const slices = sliceManifests(WEB, PORT, [
      { addresses: first?.addresses ?? [], nodeName: 'node1' },
    ]);
    for (const slice of slices) put('endpointslices', slice);
    const fromNode = () => probe(node2.netns.path, { host: '172.30.0.10', port: 80, count: 10 });
    await until('web-1 answers', async () => (await fromNode()).servers['web-1'] === 10);
    send({ reset: true });
    send({ delete: ['endpointslices', 'default/web-ipv4'] });
    await until('nothing answers', async () => (await fromNode()).errors['ECONNREFUSED'] === 10);
    await node2.stopAgent();
  }, 60_000);
});
