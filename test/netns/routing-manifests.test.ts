/**
 * Addresses for Services of a directory of manifests: of the installed agents that have it one gives them, and one
 * answers for each.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LinksLab } from '../support/links-lab.ts';
import { service, slice } from '../support/proxy-objects.ts';
import { until } from '../support/until.ts';

let lab: LinksLab;
let manifests: string;

beforeAll(() => {
  lab = new LinksLab(2);
  manifests = join(lab.directory, 'manifests');
  mkdirSync(manifests);
  for (const { name } of lab.nodes)
    write(name, { apiVersion: 'v1', kind: 'Node', metadata: { name } });
  putService('web', '172.30.0.10');
  for (const node of lab.nodes) {
    const pools = [{ name: 'lan', addresses: ['192.0.2.100-192.0.2.101'] }];
    lab.start(node, { manifests, routing: { loadBalancers: true, pools } });
  }
}, 60_000);

afterAll(() => lab?.remove());

function write(name: string, object: object): void {
  writeFileSync(join(manifests, `${name}.json`), JSON.stringify(object));
}

function putService(name: string, clusterIP: string): void {
  const { spec, ...object } = service(name, clusterIP);
  const common = { apiVersion: 'v1', kind: 'Service' };
  write(name, { ...common, ...object, spec: { ...spec, type: 'LoadBalancer' } });
  const endpoints = slice({ service: name, endpoints: ['10.0.0.1'] });
  write(`${name}-slice`, {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    ...endpoints,
  });
}

function noted(): string {
  const file = join(manifests, 'weft-addresses.json');
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

test('one agent gives addresses, one answers, and neither is another after a Service is written again', async () => {
  await until('web has an address', () => noted().includes('192.0.2.100'));
  await until('somebody answers', () => lab.with(lab.found('192.0.2.100')) !== undefined);
  const told = lab.nodes.map((node) => lab.status(node));
  expect(told.filter(({ pools }) => pools?.isAllocator)).toHaveLength(1);
  const answering = told.filter(({ announcer }) => announcer?.addresses.includes('192.0.2.100'));
  expect(answering).toHaveLength(1);
  putService('another', '172.30.0.11');
  await until('the other one has one too', () => noted().includes('192.0.2.101'));
  putService('web', '172.30.0.10');
  rmSync(join(manifests, 'another.json'));
  await until('its address is free', () => !noted().includes('192.0.2.101'));
  expect(noted()).toContain('192.0.2.100');
  expect(told.flatMap(({ problems }) => problems)).toEqual([]);
});
