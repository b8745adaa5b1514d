/**
 * Pods that start under fire, one after the other with one address, while the agent is killed now and then:
 * none of the packets that a policy denies gets in. POLICY_STARTS says how many start.
 */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cluster, type ClusterNode, plan } from '../support/cluster.ts';
import { nodeManifest } from '../support/manifests.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';

const STARTS = Number(process.env['POLICY_STARTS'] ?? 12);
const STARTS_PER_KILL = 10;
const MS_PER_START = 3000;
const ADDRESS = '10.244.1.50';
const MAC = '02:aa:00:00:00:50';
const FIRE_EVERY_S = '0.002';
/** Some packets that the pod may or may not have let in. */
const UNDER_FIRE_MS = 20;
const TRY_AGAIN = 11;

let cluster: Cluster;
let node: ClusterNode;
const made: TestNetns[] = [];

beforeAll(async () => {
  cluster = new Cluster(1, 'gate');
  [node] = cluster.nodes as [ClusterNode];
  const config = JSON.parse(readFileSync(node.configFile, 'utf8'));
  const components = ['cni', 'proxy', 'policy'];
  writeFileSync(node.configFile, JSON.stringify({ ...config, components }));
  const podOf = (namespace: string, name: string) => ({
    ...{ apiVersion: 'v1', kind: 'Pod' },
    metadata: { namespace, name, labels: { pod: name } },
    spec: { nodeName: node.name, containers: [{ name: 'c', image: 'i' }] },
  });
  cluster.writeManifest('objects.yaml', [
    nodeManifest(1, node.addresses),
    ...['shop', 'free'].map((name) => ({
      ...{ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: {} } },
    })),
    ...[podOf('shop', 'target'), podOf('free', 'target'), podOf('free', 'client')],
    {
      ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
      metadata: { namespace: 'shop', name: 'nobody' },
      spec: { podSelector: {}, policyTypes: ['Ingress'] },
    },
  ]);
  await node.startAgent();
}, 60_000);

afterAll(async () => {
  for (const netns of made) netns.remove();
  await cluster?.remove();
});

function call(verb: string, key: string, netns: TestNetns, address?: string) {
  const [namespace, name] = key.split('/');
  const args = `K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name}`;
  const runtimeConfig = address === undefined ? {} : { mac: MAC, ips: [`${address}/24`] };
  const conf = node.networkConfiguration({
    ...{ policy: true, runtimeConfig, capabilities: { mac: true, ips: true } },
    ipam: {
      ...{ type: 'host-local', dataDir: node.dataDir },
      ranges: [[{ subnet: plan.podCIDRs(1)[0] }]],
    },
  });
  return node.cni(verb, { name: netns.name, netnsPath: netns.path, args }, conf);
}

/** As a runtime does: until it may start. */
async function start(key: string, address?: string): Promise<TestNetns> {
  const netns = createNetns('gate-pod');
  made.push(netns);
  for (;;) {
    const { status, stdout } = call('ADD', key, netns, address);
    if (status === 0) return netns;
    expect(JSON.parse(stdout)).toMatchObject({ code: TRY_AGAIN });
    await sleep(100);
  }
}

function end(key: string, netns: TestNetns, address: string): void {
  expect(call('DEL', key, netns, address).status).toBe(0);
  made.splice(made.indexOf(netns), 1);
  netns.remove();
}

/** Pings the address again and again; gives how many were sent and answered. */
function fire(from: TestNetns) {
  const ping = from.start('ping', ['-i', FIRE_EVERY_S, '-n', '-q', ADDRESS]);
  let text = '';
  ping.stdout?.on('data', (bytes: Buffer) => {
    text += bytes.toString();
  });
  return async () => {
    ping.kill('SIGINT');
    await once(ping, 'close');
    const [, sent = 0, answered = 0] = /(\d+) packets transmitted, (\d+) received/.exec(text) ?? [];
    return { sent: Number(sent), answered: Number(answered) };
  };
}

test(
  `no packet gets into ${STARTS} pods that start, agents that end or not`,
  async () => {
    const client = await start('free/client');
    // Nobody has to find out who has the address: it is on the bridge from the first moment.
    node.netns.run(
      'ip',
      'neigh',
      'replace',
      ADDRESS,
      'lladdr',
      MAC,
      'dev',
      'cni0',
      'nud',
      'permanent',
    );
    const ceaseFire = fire(client);
    let restarted = Promise.resolve();
    for (let i = 1; i <= STARTS; i += 1) {
      if (i % STARTS_PER_KILL === 0) {
        await restarted;
        await node.stopAgent('SIGKILL');
        restarted = node.startAgent();
      }
      const pod = await start('shop/target', ADDRESS);
      await sleep(UNDER_FIRE_MS);
      end('shop/target', pod, ADDRESS);
    }
    await restarted;
    const { sent, answered } = await ceaseFire();
    expect(sent).toBeGreaterThan(STARTS * 10);
    expect(answered).toBe(0);
    // The same, where no policy selects the pod: the fire is real.
    const cease = fire(client);
    const open = await start('free/target', ADDRESS);
    await sleep(1000);
    expect((await cease()).answered).toBeGreaterThan(0);
    end('free/target', open, ADDRESS);
  },
  STARTS * MS_PER_START + 60_000,
);
