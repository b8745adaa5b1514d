/**
 * Addresses for Services without an API server: installed agents agree by etcd who gives them and who answers for
 * them, and note them there.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestEtcd } from '../support/etcd.ts';
import { CLIENT_ADDRESS, LinksLab } from '../support/links-lab.ts';
import { service, slice } from '../support/proxy-objects.ts';
import { until } from '../support/until.ts';

let lab: LinksLab;
let etcd: TestEtcd;

beforeAll(async () => {
  lab = new LinksLab(2);
  etcd = new TestEtcd(lab.client, { host: CLIENT_ADDRESS });
  await etcd.start();
  etcd.put('/weft/addresspools/lan', { spec: { addresses: ['192.0.2.100-192.0.2.101'] } });
  for (const { name } of lab.nodes) etcd.put(`/weft/nodes/${name}`, {});
  putService('web', '172.30.0.10');
  for (const node of lab.nodes) start(node);
}, 60_000);

afterAll(async () => {
  await etcd?.remove();
  lab?.remove();
});

function start(node: LinksLab['nodes'][number]): void {
  const more = { etcd: { endpoints: etcd.endpoints }, routing: { loadBalancers: true } };
  lab.start(node, more);
}

function putService(name: string, clusterIP: string): void {
  const { spec } = service(name, clusterIP);
  etcd.put(`/weft/services/ns/${name}`, { spec: { ...spec, type: 'LoadBalancer' } });
  etcd.put(`/weft/endpointslices/ns/${name}-1`, slice({ service: name, endpoints: ['10.0.0.1'] }));
}

function noted(name: string): string {
  const text = etcd.ctl('get', '--print-value-only', `/weft/serviceaddresses/ns/${name}`);
  return text.trim();
}

const holder = (address: string) => lab.with(lab.found(address))?.name;

test('one of the agents gives addresses, and notes them beside Services', async () => {
  await until('web has an address', () => noted('web') === '{"addresses":["192.0.2.100"]}');
  const [first, second] = lab.nodes;
  await until('one gives them', () => {
    const allocators = [first, second].filter(
      (node) => node && lab.status(node).pools?.isAllocator,
    );
    return allocators.length === 1;
  });
});

test('who writes a Service again takes no address away', async () => {
  putService('other', '172.30.0.11');
  await until('the other has one', () => noted('other') === '{"addresses":["192.0.2.101"]}');
  etcd.ctl('del', '/weft/services/ns/other');
  await until('the note is gone too', () => noted('other') === '');
  putService('web', '172.30.0.10');
  await until('it is answered for', () => holder('192.0.2.100') !== undefined);
  expect(noted('web')).toBe('{"addresses":["192.0.2.100"]}');
});

test('one node answers, and the other within three seconds after its loss', async () => {
  await until('both can answer', () =>
    lab.nodes.every((node) => lab.status(node).announcer?.nodes.length === 2),
  );
  const former = lab.with(lab.found('192.0.2.100'));
  if (former === undefined) throw new Error('nobody answers');
  const other = lab.nodes.find((node) => node !== former);
  await lab.kill(former);
  const began = performance.now();
  await until('the neighbour knows', () => lab.known('192.0.2.100') === other?.mac);
  // Three seconds where the machine is quiet.
  expect(performance.now() - began).toBeLessThan(8_000);
  start(former);
  await until('it is back', () => lab.known('192.0.2.100') === former.mac);
});

test('renewals are not written: etcd does not grow', async () => {
  const before = etcd.revision();
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  expect(etcd.revision()).toBe(before);
});

test('the agents are told who may not write', async () => {
  etcd.enableUser('weft', 'secret', [['read', '/weft/']]);
  const [node] = lab.nodes;
  await until('it is said', () => {
    const problems = node === undefined ? [] : lab.status(node).problems;
    return problems.some((problem) => problem.startsWith('no lease for addresses'));
  });
});
