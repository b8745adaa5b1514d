/**
 * Addresses of Services on a link: two installed agents agree who answers a neighbour's ARP and neighbour
 * discovery, and the other takes over when one is killed.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RoutingStatus } from '../../src/agent/status/routing-status.ts';
import { WEFT_BINARY } from '../support/cluster.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
import { service, slice } from '../support/proxy-objects.ts';
import { until } from '../support/until.ts';

const API_SERVER = join(import.meta.dirname, '../support/workloads/api-server.ts');
const ADDRESSES = ['192.0.2.100', '2001:db8::100'] as const;
const NAMES = ['node-1', 'node-2'] as const;

interface Node {
  readonly name: string;
  readonly netns: TestNetns;
  readonly mac: string;
  readonly runDir: string;
  agent: ChildProcess | undefined;
}

let client: TestNetns;
let api: ChildProcess;
let nodes: readonly Node[];
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'wt-links-'));
  client = createNetns('ln-c');
  client.batch([
    'link add lan type bridge',
    'link set lan up',
    'addr add 192.0.2.254/24 dev lan',
    'addr add 2001:db8::fe/64 dev lan nodad',
  ]);
  nodes = NAMES.map((name, i) => makeNode(name, i + 1));
  await startApi();
  put('addresspools', 'weft.dev/v1alpha1', 'AddressPool', {
    metadata: { name: 'lan' },
    spec: { addresses: ['192.0.2.100/32', '2001:db8::100/128'] },
  });
  for (const [i, name] of NAMES.entries()) {
    put('nodes', 'v1', 'Node', {
      metadata: { name },
      status: { addresses: [{ type: 'InternalIP', address: `192.0.2.${i + 1}` }] },
    });
  }
  putSlice(['10.0.0.1']);
  const { spec, ...object } = service('web', '172.30.0.10');
  const families = { clusterIPs: ['172.30.0.10', 'fd00:30::10'], ipFamilies: ['IPv4', 'IPv6'] };
  put('services', 'v1', 'Service', {
    ...object,
    spec: { ...spec, ...families, type: 'LoadBalancer' },
  });
  for (const node of nodes) startAgent(node);
}, 60_000);

afterAll(() => {
  for (const node of nodes ?? []) node.netns.remove();
  client?.remove();
  rmSync(directory, { recursive: true, force: true });
});

function makeNode(name: string, n: number): Node {
  const netns = createNetns(`ln-${n}`);
  connect({ netns, link: 'eth0' }, { netns: client, link: `to-${n}` });
  client.run('ip', 'link', 'set', `to-${n}`, 'master', 'lan');
  netns.batch([
    `addr add 192.0.2.${n}/24 dev eth0`,
    `addr add 2001:db8::${n}/64 dev eth0 nodad`,
    'route add default via 192.0.2.254',
  ]);
  const [link] = netns.ip<{ address: string }[]>('link', 'show', 'eth0');
  return { name, netns, mac: link?.address ?? '', runDir: join(directory, name), agent: undefined };
}

async function startApi(): Promise<void> {
  api = client.start(process.execPath, [API_SERVER, join(directory, 'kubeconfig'), '192.0.2.254']);
  let answers = '';
  api.stdout?.on('data', (chunk) => {
    answers += chunk;
  });
  await until('the API server is ready', () => answers.startsWith('ready'));
}

function put(plural: string, apiVersion: string, kind: string, object: object): void {
  api.stdin?.write(`${JSON.stringify({ put: [plural, { apiVersion, kind, ...object }] })}\n`);
}

/** Of both families. */
function putSlice(endpoints: readonly string[]): void {
  const common = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' };
  const four = slice({ service: 'web', endpoints });
  const six = slice({ service: 'web', endpoints: endpoints.map(() => 'fd00:1::1') });
  api.stdin?.write(`${JSON.stringify({ put: ['endpointslices', { ...common, ...four }] })}\n`);
  const metadata = { ...six.metadata, name: 'web-six' };
  const object = { ...common, ...six, metadata, addressType: 'IPv6' };
  api.stdin?.write(`${JSON.stringify({ put: ['endpointslices', object] })}\n`);
}

function startAgent(node: Node): void {
  const file = join(directory, `${node.name}.json`);
  const config = {
    ...{ components: ['proxy', 'routing'], nodeName: node.name, runDir: node.runDir },
    ...{ kubeconfig: join(directory, 'kubeconfig'), stateDir: `${node.runDir}-state` },
    routing: { directory: join(node.runDir, 'bird'), loadBalancers: true, announceOnLinks: true },
  };
  writeFileSync(file, JSON.stringify(config));
  node.agent = node.netns.start(WEFT_BINARY, ['agent', '--config', file]);
  node.agent.stderr?.resume();
}

async function kill(node: Node): Promise<void> {
  const ended = new Promise((resolve) => node.agent?.once('exit', resolve));
  node.agent?.kill('SIGKILL');
  await ended;
}

/** Which hardware address the client finds for an address; it asks anew. */
function found(address: string): string | undefined {
  client.attempt('ip', ['neigh', 'flush', 'to', address, 'dev', 'lan']);
  client.attempt('ping', ['-c1', '-W0.3', '-n', address]);
  return known(address);
}

function known(address: string): string | undefined {
  const [entry] = client.ip<{ lladdr?: string }[]>('neigh', 'show', address, 'dev', 'lan');
  return entry?.lladdr;
}

function status(node: Node): RoutingStatus {
  const args = ['bgp', '--run-dir', node.runDir, '--output', 'json'];
  // The shape is this test's to read; a wrong one fails its assertions.
  return JSON.parse(node.netns.attempt(WEFT_BINARY, args).stdout) as RoutingStatus;
}

const macs = () => nodes.map(({ mac }) => mac);
const nodeWith = (mac: string | undefined) => nodes.find((node) => node.mac === mac) as Node;
const otherThan = (node: Node) => nodes.find((other) => other !== node) as Node;

test('one node answers for each address, and always the same', async () => {
  for (const address of ADDRESSES) {
    await until(`somebody answers for ${address}`, () => macs().includes(found(address) ?? ''));
  }
  await until('both are alive', () => status(nodes[0] as Node).announcer?.nodes.length === 2);
  for (const address of ADDRESSES) {
    const first = found(address);
    for (let i = 0; i < 5; i++) expect(found(address)).toBe(first);
    const told = nodes.filter((node) => status(node).announcer?.addresses.includes(address));
    expect(told.map(({ mac }) => mac)).toEqual([first]);
  }
  expect(status(nodes[0] as Node).problems).toEqual([]);
});

test('the other takes over when one is killed, and neighbours are told', async () => {
  const [address] = ADDRESSES;
  const former = nodeWith(found(address));
  await kill(former);
  const start = performance.now();
  await until('the neighbour knows', () => known(address) === otherThan(former).mac);
  // Three seconds where the machine is quiet.
  expect(performance.now() - start).toBeLessThan(8_000);
  expect(found(address)).toBe(otherThan(former).mac);
  startAgent(former);
  await until('it is back', () => known(address) === former.mac);
});

test('nobody answers while no endpoint is ready', async () => {
  putSlice([]);
  for (const address of ADDRESSES) {
    await until(`nobody has ${address}`, () => !macs().includes(found(address) ?? ''));
  }
  putSlice(['10.0.0.1']);
  await until('somebody has it', () => macs().includes(found(ADDRESSES[0]) ?? ''));
});
