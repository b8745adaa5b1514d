/** What is there, as the installed agent of a node tells it, and as its records do when it is gone. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type {
  ListedAddress,
  ListedEndpoint,
  ListedPod,
  ListedService,
  Listing,
  NodesAnswer,
  ServiceDetail,
} from '../../src/agent/debug/lists/values.ts';
import { Cluster, type ClusterNode, WEFT_BINARY } from '../support/cluster.ts';
import { nodeManifest, serviceManifest, sliceManifests } from '../support/manifests.ts';
import { until } from '../support/until.ts';

const WEB = { name: 'web', clusterIPs: ['172.30.0.10'], port: 80, nodePort: 30080 };
const NONE = { name: 'none', clusterIPs: ['172.30.0.11'], port: 80 };

let cluster: Cluster;
let node: ClusterNode;
const netnsOf = new Map<string, string>();
let webIP = '';

beforeAll(async () => {
  cluster = new Cluster(2, 'lists', { fabric: 'auto' });
  [node] = cluster.nodes as [ClusterNode, ClusterNode];
  cluster.writeManifest(
    'nodes.yaml',
    cluster.nodes.map((each) => nodeManifest(each.number)),
  );
  await Promise.all(cluster.nodes.map((each) => each.startAgent()));
  webIP = (await addPod('web'))[0] ?? '';
  await addPod('client');
  const endpoints = [
    { addresses: [webIP, 'fd00:10:244:1::99'], nodeName: 'node1' },
    { addresses: ['10.244.2.9'], nodeName: 'node2' },
  ];
  const [slice, ...others] = sliceManifests(
    { ...WEB, clusterIPs: ['172.30.0.10', 'fd00::10'] },
    8080,
    endpoints,
  );
  const service = serviceManifest(WEB);
  cluster.writeManifest('web.yaml', [
    { ...service, spec: { ...Object(service).spec, externalTrafficPolicy: 'Local' } },
    ...[slice ?? {}, ...others, serviceManifest(NONE)],
  ]);
  await until('the Services are in the kernel', () => {
    return node.netns
      .run('nft', 'list', 'map', 'ip', 'weft-proxy', 'service-ips')
      .includes('172.30.0.10');
  });
}, 60_000);

afterAll(async () => {
  await cluster?.remove();
});

/** Addresses that ADD gave to `shop/<name>`. */
async function addPod(name: string): Promise<readonly string[]> {
  const sandbox = netnsOf.get(name) ?? (await node.createSandbox(name)).netnsPath;
  netnsOf.set(name, sandbox);
  const answer = node.cni('ADD', podCall(name));
  expect(answer).toMatchObject({ status: 0 });
  // The result's shape is the CNI specification's.
  const { ips } = JSON.parse(answer.stdout) as { ips: readonly { address: string }[] };
  return ips.map(({ address }) => address.split('/')[0] ?? '');
}

const podCall = (name: string) => ({
  name,
  netnsPath: netnsOf.get(name) ?? '',
  args: `K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${name};K8S_POD_UID=uid-${name};IgnoreUnknown=1`,
});

function weft(...words: readonly string[]): string {
  const { status, stdout, stderr } = node.netns.attempt(WEFT_BINARY, [
    ...words,
    ...['--run-dir', node.runDir],
  ]);
  expect([status, stderr]).toEqual([0, '']);
  return stdout;
}

/** The agent answers with these shapes; a wrong one fails the assertions below. */
function json<T>(...words: readonly string[]): T {
  return JSON.parse(weft(...words, '--output', 'json')) as T;
}

function knock(address: string, port: number): void {
  const script = `exec 3<>/dev/tcp/${address}/${port}`;
  const pod = netnsOf.get('client') ?? '';
  node.netns.attempt('nsenter', [`--net=${pod}`, 'timeout', '0.3', 'bash', '-c', script]);
}

test('Services tell frontends, endpoints, connections and refusals', () => {
  knock('172.30.0.10', 80);
  knock('172.30.0.11', 80);
  const { items, total } = json<Listing<ListedService>>('services', '--limit', '1');
  expect([items.map(({ name }) => name), total]).toEqual([['none'], 2]);
  expect(items[0]).toMatchObject({ connections: 0, refused: { noEndpoints: 1 } });
  const web = json<ServiceDetail>('services', 'web');
  expect(web).toMatchObject({ connections: 1, isPending: false, externalTrafficPolicy: 'Local' });
  expect(web.ports[0]?.frontends.map(({ kind }) => kind)).toEqual(['clusterIP', 'nodePort']);
  expect(weft('completion', '--names', 'services', '--prefix', 'default/w')).toBe('default/web\n');
  expect(weft('services')).toMatch(/^default\/web +tcp 80\/tcp +172\.30\.0\.10 +2\/2 +1 +0$/m);
});

test('endpoints tell who is left out, and why', () => {
  const { items } = json<Listing<ListedEndpoint>>('endpoints', 'web');
  const told = items.map(({ ip, pod = '-', usedBy, leftOut = '-' }) => {
    return `${ip} ${pod} ${usedBy} ${leftOut}`;
  });
  expect(told).toEqual([
    `${webIP} shop/web everybody -`,
    '10.244.2.9 - cluster otherNode',
    'fd00:10:244:1::99 - nobody otherFamily',
  ]);
  expect(json<Listing<ListedEndpoint>>('endpoints', '--left-out').items).toHaveLength(2);
});

test('nodes tell the way to their pods and what a probe found', async () => {
  const found = await until('the path was probed', () => {
    const answer = json<NodesAnswer>('nodes');
    return answer.items[1]?.paths.some(({ mtu }) => mtu > 0) ? answer : undefined;
  });
  expect(found).toMatchObject({
    ...{ backend: 'auto', total: 2 },
    items: [
      { name: 'node1', isThis: true },
      { name: 'node2', way: 'direct', problems: [] },
    ],
  });
});

test('pods and addresses outlive the agent; what went meanwhile is found', async () => {
  const names = () => json<Listing<ListedPod>>('pods').items.map(({ name }) => name);
  const holders = () =>
    json<Listing<ListedAddress>>('ips', webIP).items.map(
      ({ pod, until: end, isUntilLate }) =>
        `${pod}${end === undefined ? '' : ' gone'}${isUntilLate ? ', late' : ''}`,
    );
  expect(names()).toEqual(['client', 'web']);
  expect(holders()).toEqual(['shop/web']);
  await node.stopAgent();
  expect(names()).toEqual(['client', 'web']);
  expect(node.cni('DEL', podCall('web')).status).toBe(0);
  expect(names()).toEqual(['client']);
  await node.startAgent();
  expect(holders()).toEqual(['shop/web gone, late']);
  await addPod('web');
  expect(node.cni('DEL', podCall('web')).status).toBe(0);
  expect(json<Listing<ListedAddress>>('ips', 'shop/web').items).toHaveLength(4);
  expect(weft('ips', 'client', '--held')).toMatch(/shop\/client +\d\d-\d\d [\d:]{8} +now/);
});
