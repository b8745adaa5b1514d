/** A kernel with nfnetlink and connection tracking, and without nf_tables. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CniTestNode } from '../support/cni-node.ts';
import type { TestNetns } from '../support/netns.ts';

let node: CniTestNode;
let pod: TestNetns;

const sh = (script: string) => execFileSync('bash', ['-c', script], { encoding: 'utf8' });
const NF_TABLES = '$(find /usr/lib/uml/modules/$(uname -r) -name nf_tables.ko)';

beforeAll(() => {
  sh('rmmod nf_tables');
  node = new CniTestNode();
  pod = node.pod();
});

afterAll(() => {
  node.remove();
  sh(`insmod ${NF_TABLES}`);
});

const conf = (more: object) => ({
  cniVersion: '1.1.0',
  name: 'net1',
  type: 'weft',
  bridge: 'cni0',
  ipam: { type: 'host-local', dataDir: node.dataDir, subnet: '10.22.0.0/24' },
  ...more,
});
const call = (command: string, more: object) => ({
  command,
  id: 'one',
  netns: pod,
  stdin: conf(more),
});

test('without ipMasq a pod comes and goes', () => {
  const wish = { isGateway: true, ipMasq: false };
  expect(node.result(call('ADD', wish))).toMatchObject({ ips: [{ address: '10.22.0.2/24' }] });
  node.result(call('DEL', wish));
  node.result(call('DEL', wish));
  expect(pod.ip<{ ifname: string }[]>('link').map(({ ifname }) => ifname)).toEqual(['lo']);
});

test.each([
  { wish: { isGateway: true, ipMasq: true }, named: 'ipMasq' },
  { wish: { macspoofchk: true }, named: 'macspoofchk' },
  {
    wish: { runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 80 }] } },
    named: 'host ports',
  },
])('an ADD names what is missing for $named, and nothing stays', ({ wish, named }) => {
  expect(JSON.parse(node.call(call('ADD', wish)).stdout)).toMatchObject({
    code: 50,
    msg: `${named}: this kernel has no nf_tables (CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET)`,
  });
  expect(pod.ip<{ ifname: string }[]>('link').map(({ ifname }) => ifname)).toEqual(['lo']);
  node.result(call('DEL', wish));
});
