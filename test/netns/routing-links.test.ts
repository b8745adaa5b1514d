/**
 * Addresses of Services on a link: two installed agents agree who answers a neighbour's ARP and neighbour
 * discovery, and the other takes over when one is killed.
 */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CLIENT_ADDRESS, LinksLab } from '../support/links-lab.ts';
import { service, slice } from '../support/proxy-objects.ts';
import { until } from '../support/until.ts';

const API_SERVER = join(import.meta.dirname, '../support/workloads/api-server.ts');
const ADDRESSES = ['192.0.2.100', '2001:db8::100'] as const;
/** Of the second one: ff02::1:ff and its last 24 bits. */
const GROUP = 'ff02::1:ff00:100';

type Node = LinksLab['nodes'][number];

let lab: LinksLab;
let api: ChildProcess;
let nodes: readonly Node[];

beforeAll(async () => {
  lab = new LinksLab(2);
  nodes = lab.nodes;
  await startApi();
  put('addresspools', 'weft.dev/v1alpha1', 'AddressPool', {
    metadata: { name: 'lan' },
    spec: { addresses: ['192.0.2.100/32', '2001:db8::100/128'] },
  });
  for (const [i, { name }] of nodes.entries()) {
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

afterAll(() => lab?.remove());

async function startApi(): Promise<void> {
  const file = join(lab.directory, 'kubeconfig');
  api = lab.client.start(process.execPath, [API_SERVER, file, CLIENT_ADDRESS]);
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
  const kubeconfig = join(lab.directory, 'kubeconfig');
  lab.start(node, { kubeconfig, routing: { loadBalancers: true } });
}

/** Asked for by who has no address of that group itself. */
function isMember({ netns }: Node): boolean {
  return netns.run('ip', 'maddr', 'show', 'dev', 'eth0').split(/\s+/).includes(GROUP);
}

const macs = () => nodes.map(({ mac }) => mac);
const nodeWith = (mac: string | undefined) => lab.with(mac) as Node;
const otherThan = (node: Node) => nodes.find((other) => other !== node) as Node;

test('one node answers for each address, and always the same', async () => {
  for (const address of ADDRESSES) {
    await until(`somebody answers for ${address}`, () => macs().includes(lab.found(address) ?? ''));
  }
  await until('both are alive', () => lab.status(nodes[0] as Node).announcer?.nodes.length === 2);
  for (const address of ADDRESSES) {
    const first = lab.found(address);
    for (let i = 0; i < 5; i++) expect(lab.found(address)).toBe(first);
    const told = nodes.filter((node) => lab.status(node).announcer?.addresses.includes(address));
    expect(told.map(({ mac }) => mac)).toEqual([first]);
  }
  expect(lab.status(nodes[0] as Node).problems).toEqual([]);
});

test('who answers for an IPv6 address is in the group that is asked for it, until it moves', async () => {
  const [, address] = ADDRESSES;
  const holder = nodeWith(lab.found(address));
  const other = otherThan(holder);
  expect(nodes.filter(isMember)).toEqual([holder]);
  await lab.kill(holder);
  await until('the other is a member', () => isMember(other) && !isMember(holder));
  startAgent(holder);
  await until('it is back', () => isMember(holder) && !isMember(other));
  await until('with the address', () => lab.known(address) === holder.mac);
});

test('the other takes over when one is killed, and neighbours are told', async () => {
  const [address] = ADDRESSES;
  const former = nodeWith(lab.found(address));
  await lab.kill(former);
  const start = performance.now();
  await until('the neighbour knows', () => lab.known(address) === otherThan(former).mac);
  // Three seconds where the machine is quiet.
  expect(performance.now() - start).toBeLessThan(8_000);
  expect(lab.found(address)).toBe(otherThan(former).mac);
  startAgent(former);
  await until('it is back', () => lab.known(address) === former.mac);
});

test('nobody answers while no endpoint is ready', async () => {
  putSlice([]);
  for (const address of ADDRESSES) {
    await until(`nobody has ${address}`, () => !macs().includes(lab.found(address) ?? ''));
  }
  putSlice(['10.0.0.1']);
  await until('somebody has it', () => macs().includes(lab.found(ADDRESSES[0]) ?? ''));
});
