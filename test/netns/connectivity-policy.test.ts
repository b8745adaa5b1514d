/** `weft connectivity-test` where policies are enforced: pods through CNI, objects through an API server. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { askAgent } from '../../src/agent/debug/client.ts';
import { runConnectivityTest } from '../../src/cli/connectivity/run.ts';
import { readKubeconfig } from '../../src/kube/access/kubeconfig.ts';
import { ApiClient } from '../../src/kube/api/client.ts';
import { systemClock } from '../../src/util/clock.ts';
import { Cluster, type ClusterNode } from '../support/cluster.ts';
import type { ApiObject } from '../support/fake-api-objects.ts';
import { FakeApiServer } from '../support/fake-api-server.ts';
import { nodeManifest } from '../support/manifests.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { type RunningProgram, startServer } from '../support/workloads.ts';

const VIP = '172.30.0.30';

let cluster: Cluster;
let node: ClusterNode;
let api: FakeApiServer;
let directory: string;
const pods: TestNetns[] = [];
const programs: RunningProgram[] = [];

beforeAll(async () => {
  cluster = new Cluster(1, 'conn');
  [node] = cluster.nodes as [ClusterNode];
  const config = JSON.parse(readFileSync(node.configFile, 'utf8'));
  const components = ['cni', 'proxy', 'policy'];
  writeFileSync(node.configFile, JSON.stringify({ ...config, components }));
  cluster.writeManifest('node.yaml', [nodeManifest(1, node.addresses)]);
  await node.startAgent();
  directory = mkdtempSync(join(tmpdir(), 'weft-connectivity-'));
  api = new FakeApiServer({ authorization: 'Bearer t' });
  await api.start();
  const conditions = [{ type: 'Ready', status: 'True' }];
  api.put('nodes', { metadata: { name: node.name }, status: { addresses: [], conditions } });
}, 60_000);

afterAll(async () => {
  for (const program of programs) await program.end('SIGKILL');
  for (const pod of pods) pod.remove();
  await api.stop();
  await cluster.remove();
  rmSync(directory, { recursive: true, force: true });
});

type Change = (policy: ApiObject) => readonly ApiObject[];

/** Kubelet and controllers: objects become those that the agent reads, pods are attached and serve. */
function runCluster(change: Change): () => Promise<void> {
  const objects: ApiObject[] = [];
  const stop = new AbortController();
  const take = async (path: string, object: ApiObject) => {
    const isPolicy = path.endsWith('/networkpolicies');
    objects.push(...(isPolicy ? change(object) : [object]));
    if (path.endsWith('/services')) {
      const spec = { ...Object(object['spec']), clusterIP: VIP, clusterIPs: [VIP] };
      api.put('services', { ...object, spec });
      objects.splice(-1, 1, { ...object, spec: { ...spec, ipFamilies: ['IPv4'] } });
    }
    cluster.writeManifest('objects.yaml', objects);
    if (!path.endsWith('/pods')) return;
    const status = await attach(object);
    if (object.metadata.name === 'here') objects.push(sliceOf(object, status.podIPs[0]?.ip ?? ''));
    cluster.writeManifest('objects.yaml', objects);
    api.put('pods', { ...object, status });
  };
  const done = (async () => {
    while (!stop.signal.aborted) {
      for (const { path, object } of api.created.splice(0)) await take(path, object);
      await wait(20);
    }
  })();
  return async () => {
    stop.abort();
    await done;
    cluster.writeManifest('objects.yaml', []);
  };
}

function sliceOf({ metadata: { namespace } }: ApiObject, ip: string): ApiObject {
  return {
    ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
    metadata: { namespace, name: 'web', labels: { 'kubernetes.io/service-name': 'web' } },
    ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
    endpoints: [{ addresses: [ip], conditions: { ready: true } }],
  } as ApiObject;
}

async function attach({ metadata: { name, namespace } }: ApiObject) {
  const netns = createNetns(`conn-${name}`);
  pods.push(netns);
  const args = `K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name}`;
  const pod = { name: `${namespace}-${name}`, netnsPath: netns.path, args };
  const { status, stdout, stderr } = node.cni(
    'ADD',
    pod,
    node.networkConfiguration({ policy: true }),
  );
  if (status !== 0) throw new Error(`ADD ${name}: ${stdout}${stderr}`);
  programs.push(await startServer(netns.path, name, 8080));
  const podIPs = [{ ip: JSON.parse(stdout).ips[0].address.split('/')[0] }];
  return { podIPs, conditions: [{ type: 'Ready', status: 'True' }] };
}

async function run(change: Change): Promise<{ readonly code: number; readonly text: string }> {
  const stop = runCluster(change);
  let text = '';
  try {
    const code = await runConnectivityTest(
      { kubeconfig: api.kubeconfig(join(directory, 'kubeconfig')) },
      {
        ...{ runDir: node.runDir, askAgent, clock: systemClock, wait },
        print: (part) => {
          text += part;
        },
        openApi: async (path) => {
          const access = await readKubeconfig(path, { clock: systemClock, environment: {} });
          const { random } = Math;
          return new ApiClient({ access, version: 'test', clock: systemClock, random });
        },
        lockConnectivityTest: async () => () => {},
        onInterrupt: () => () => {},
      },
    );
    return { code, text };
  } finally {
    await stop();
  }
}

const ALLOWED = /ok +policy allows, IPv4/;
const DENIED = /ok +policy denies, IPv4/;

test.each<readonly [string, Change, RegExp, RegExp]>([
  ['as it should be', (policy) => [policy], ALLOWED, DENIED],
  [
    'no policy holds',
    () => [],
    ALLOWED,
    /FAILED +policy denies, IPv4: [^:]*:8080\/tcp\s+it should be denied, and is allowed/,
  ],
  [
    'the policy allows nobody',
    (policy) => [{ ...policy, spec: { ...Object(policy['spec']), ingress: [] } }],
    /FAILED +policy allows, IPv4/,
    DENIED,
  ],
])(
  'policies: %s',
  async (_, change, allows, denies) => {
    const { text } = await run(change);
    expect(text).toMatch(allows);
    expect(text).toMatch(denies);
  },
  60_000,
);
