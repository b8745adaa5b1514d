/** The bridge plugin with every mix of address families, and names that are taken. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { hostVethName } from '../../src/cni/attachment.ts';
import { BridgeLab } from '../support/bridge-lab.ts';
import { CniTestNode } from '../support/cni-node.ts';
import type { TestNetns } from '../support/netns.ts';

let lab: BridgeLab;
beforeEach(() => {
  lab = new BridgeLab();
});
afterEach(() => lab.remove());

const v4 = '10.22.0.0/24';
const v6 = ['fd00:22::/64', 'fd00:23::/64'] as const;

/** Global addresses of a link, with their prefixes. */
function addressesOn(netns: TestNetns, link: string): readonly string[] {
  type Listed = { addr_info: { local?: string; prefixlen?: number; scope?: string }[] };
  const [listed] = netns.ip<Listed[]>('address', 'show', 'dev', link);
  return (listed?.addr_info ?? [])
    .filter(({ scope }) => scope === 'global')
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`);
}

function gatewaysOfDefault(netns: TestNetns): readonly (string | undefined)[] {
  return [['-4'], ['-6']].flatMap((family) =>
    netns
      .ip<{ gateway?: string; nexthops?: { gateway: string }[] }[]>(
        ...family,
        'route',
        'show',
        'default',
      )
      .flatMap(({ gateway, nexthops }) => nexthops?.map((hop) => hop.gateway) ?? [gateway]),
  );
}

test.each<{ subnets: readonly string[]; pod: readonly string[]; gateways: readonly string[] }>([
  { subnets: [v4], pod: ['10.22.0.2/24'], gateways: ['10.22.0.1/24'] },
  { subnets: [v6[0]], pod: ['fd00:22::2/64'], gateways: ['fd00:22::1/64'] },
  {
    subnets: [v4, v6[0]],
    pod: ['10.22.0.2/24', 'fd00:22::2/64'],
    gateways: ['10.22.0.1/24', 'fd00:22::1/64'],
  },
  {
    subnets: [v4, ...v6],
    pod: ['10.22.0.2/24', 'fd00:22::2/64', 'fd00:23::2/64'],
    gateways: ['10.22.0.1/24', 'fd00:22::1/64', 'fd00:23::1/64'],
  },
])('[77] addresses of $subnets', ({ subnets, pod: expected, gateways }) => {
  const resolvConf = join(lab.directory, 'resolv.conf');
  writeFileSync(resolvConf, 'nameserver 192.0.2.53\nsearch a b\n');
  const ranges = subnets.map((subnet) => [{ subnet }]);
  const ipam = { type: 'host-local', dataDir: lab.directory, ranges, resolvConf };
  const config = lab.config({ ipam });
  const pod = lab.pod();
  const result = lab.add(config, { pod });

  const [bridge, port, end, ...more] = result.interfaces;
  expect([bridge?.name, end?.name, more]).toEqual(['br0', 'eth0', []]);
  expect([bridge?.sandbox, port?.sandbox, end?.sandbox]).toEqual([undefined, undefined, pod.path]);
  expect(result).toMatchObject({ dns: { nameservers: ['192.0.2.53'], search: ['a', 'b'] } });
  expect(lab.link('br0')).toMatchObject({
    address: bridge?.mac,
    linkinfo: { info_data: { vlan_filtering: 0 } },
  });
  expect(new Set([bridge?.mac, port?.mac, end?.mac]).size).toBe(3);
  expect(lab.ports()).toEqual([port?.name]);
  expect(pod.ip('link', 'show', 'eth0')).toMatchObject([{ address: end?.mac, operstate: 'UP' }]);
  expect(addressesOn(pod, 'eth0').toSorted()).toEqual(expected.toSorted());
  expect(addressesOn(lab.host, 'br0').toSorted()).toEqual(gateways.toSorted());
  const [first4] = gateways.filter((gateway) => !gateway.includes(':'));
  const [first6] = gateways.filter((gateway) => gateway.includes(':'));
  const firsts = [first4, first6].flatMap((gateway) => gateway?.split('/')[0] ?? []);
  expect(gatewaysOfDefault(pod)).toEqual(expect.arrayContaining(firsts));

  lab.del(config, { pod });
  expect(lab.ports()).toEqual([]);
  expect(addressesOn(lab.host, 'br0').toSorted()).toEqual(gateways.toSorted());
});

test.each(['0.1.0', '0.2.0'])('[77] %s has no room for two addresses of a family', (cniVersion) => {
  const ranges = v6.map((subnet) => [{ subnet }]);
  const ipam = { type: 'host-local', dataDir: lab.directory, ranges };
  const { msg } = lab.failure('ADD', lab.config({ cniVersion, ipam }), { pod: lab.pod() });
  expect(msg).toContain(
    `CNI version ${cniVersion} does not support more than 1 address per family`,
  );
  expect(lab.host.ip('link', 'show', 'type', 'veth')).toEqual([]);
});

test('[134] a link of the node that has the name of the pair is left alone', () => {
  const attachment = { network: 'net', containerId: 'pod-1', ifName: 'eth0' };
  const name = hostVethName(attachment);
  lab.host.run('ip', 'link', 'add', name, 'type', 'bridge');
  const before = lab.link(name);
  const pod = lab.pod();
  expect(lab.failure('ADD', lab.config(), { pod }).msg).toContain(name);
  lab.del(lab.config(), { pod });
  expect(lab.link(name)).toEqual(before);
  expect(pod.ip<{ ifname: string }[]>('link').map(({ ifname }) => ifname)).toEqual(['lo']);
});

test('[113] the first call in a directory says nothing but its answer', () => {
  const node = new CniTestNode();
  try {
    const ipam = { type: 'host-local', dataDir: node.dataDir, subnet: v4 };
    const stdin = { cniVersion: '1.0.0', name: 'net', type: 'macvlan', ipam };
    const plugin = ['env', 'WEFT_ARGV0=host-local', ...node.standalone];
    const call = { command: 'ADD', netns: node.pod(), stdin, plugin };
    expect(node.call(call)).toMatchObject({ status: 0, stderr: '' });
  } finally {
    node.remove();
  }
});
