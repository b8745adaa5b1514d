/** Pods in a zone of Debian's firewalld, which rejects what it forwards of others. */
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AttachmentRecord } from '../../src/cni/attachment-records.ts';
import { firewallWith } from '../../src/cni/firewall/firewall.ts';
import { mayAskFirewalld } from '../../src/cni/firewall/zone.ts';
import type { CniNode } from '../../src/cni/node.ts';
import { forwardDifferences } from '../../src/cni/upkeep/forward-repair.ts';
import { openIptables } from '../../src/iptables/programs-sync.ts';
import { parseIP } from '../../src/net/ip.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import { TestFirewalld } from '../support/firewalld.ts';
import { MemberLab, type MemberPod } from '../support/member-lab.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';

let lab: MemberLab;
let outside: TestNetns;
let firewalld: TestFirewalld;
let pod: MemberPod;
beforeEach(async () => {
  lab = new MemberLab();
  outside = createNetns('out');
  const addresses = ['203.0.113.1/24', '2001:db8:113::1/64'];
  const there = {
    netns: outside,
    link: 'up0',
    addresses: ['203.0.113.9/24', '2001:db8:113::9/64'],
  };
  connect({ netns: lab.host, link: 'up0', addresses }, there);
  outside.run('ip', 'route', 'add', '10.22.0.0/16', 'via', '203.0.113.1');
  outside.run('ip', 'route', 'add', 'fd00:22::/32', 'via', '2001:db8:113::1');
  lab.host.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
  pod = lab.pod(1);
  firewalld = await TestFirewalld.bus();
});
afterEach(async () => {
  await firewalld.stop();
  outside.remove();
  lab.remove();
});

const ADDRESSES = [parseIP('10.22.1.2'), parseIP('fd00:22:1::2')];
const member = firewallWith(({ kernel }) => kernel.openNftables());
const node = (): CniNode => {
  const iptables = openIptables(['nsenter', `--net=${lab.host.path}`]);
  const openNftables = () => NftablesConnection.open({ netns: lab.hostNetns });
  return {
    ...lab.node,
    kernel: { ...lab.node.kernel, iptables, openNftables, firewalld: firewalld.client },
  };
};
const call = (verb: 'ADD' | 'CHECK' | 'DEL', config: object) => {
  const all = { type: 'firewall', ...config, prevResult: { cniVersion: '1.1.0', ...pod.previous } };
  return { ...lab.call(verb, pod, all), node: node() };
};
const add = (config: object) => member.add(call('ADD', config), pod.previous, []);
const check = (config: object) => member.check(call('CHECK', config), pod.previous);
const del = (config: object) => member.del(call('DEL', config));
const inZone = (zone: string) =>
  ADDRESSES.map((address) => firewalld.client.hasSource(zone, address));
const reaches = (address: string) =>
  pod.netns.attempt('ping', ['-c1', '-W1', address]).status === 0;
/** Once neighbours and their addresses have settled: any answer of several will do. */
const reachesSoon = (address: string) =>
  pod.netns.attempt('ping', ['-c10', '-i0.3', '-W1', address]).status === 0;
const hasOwnRules = () => lab.host.run('iptables', '-S').includes('WEFT-FORWARD');

describe.each([
  { config: { backend: 'firewalld' }, zone: 'trusted', rules: 'nftables' as const },
  { config: {}, zone: 'trusted', rules: 'nftables' as const },
  { config: {}, zone: 'trusted', rules: 'iptables' as const },
  { config: { firewalldZone: 'work' }, zone: 'work', rules: 'nftables' as const },
])('$config, rules in $rules', ({ config, zone, rules }) => {
  test('the zone has the pod’s addresses from ADD to DEL', async () => {
    await firewalld.start(lab.host, rules);
    expect(mayAskFirewalld(call('ADD', config).request.config, node())).toBe(true);
    expect(reaches('203.0.113.9')).toBe(false);
    for (let again = 0; again < 2; again += 1) add(config);
    expect(inZone(zone)).toEqual([true, true]);
    expect(hasOwnRules()).toBe(false);
    if (zone === 'trusted') {
      expect([reachesSoon('203.0.113.9'), reachesSoon('2001:db8:113::9')]).toEqual([true, true]);
    }
    check(config);
    firewalld.client.removeSource(zone, ADDRESSES[1]!);
    expect(() => check(config)).toThrow(`zone ${zone} of firewalld lacks fd00:22:1::2`);
    for (let again = 0; again < 2; again += 1) del(config);
    expect(inZone(zone)).toEqual([false, false]);
  });
});

test('backend: iptables is iptables beside firewalld, too', async () => {
  await firewalld.start(lab.host);
  const config = { backend: 'iptables' };
  expect(mayAskFirewalld(call('ADD', config).request.config, node())).toBe(false);
  add(config);
  expect([hasOwnRules(), inZone('trusted')]).toEqual([true, [false, false]]);
});

test('what the reference has put into the zone goes with our DEL', async () => {
  await firewalld.start(lab.host);
  const { request } = call('ADD', { backend: 'firewalld', cniVersion: '1.0.0' });
  const previous = { ...(request.config['prevResult'] as object), cniVersion: '1.0.0' };
  execFileSync('/usr/lib/cni/firewall', {
    input: JSON.stringify({ ...request.config, prevResult: previous }),
    env: {
      ...{ CNI_COMMAND: 'ADD', CNI_CONTAINERID: pod.id, CNI_NETNS: pod.netns.path },
      ...{ CNI_IFNAME: 'eth0', CNI_PATH: '/usr/lib/cni' },
      DBUS_SYSTEM_BUS_ADDRESS: firewalld.address,
    },
  });
  expect(inZone('trusted')).toEqual([true, true]);
  del({ backend: 'firewalld' });
  expect(inZone('trusted')).toEqual([false, false]);
});

test('without firewalld: rules of iptables, and errors only where it is named', () => {
  expect(mayAskFirewalld(call('ADD', {}).request.config, node())).toBe(false);
  add({});
  expect(hasOwnRules()).toBe(true);
  expect(() => add({ backend: 'firewalld' })).toThrow('backend "firewalld": busctl: ');
  del({ backend: 'firewalld' });
});

test('what a zone has is not missing as rules', () => {
  lab.host.run('iptables', '-P', 'FORWARD', 'DROP');
  const connection = NftablesConnection.open({ netns: lab.hostNetns });
  const { attachment } = call('ADD', {});
  const missing = (more: object) => {
    const forwarded = { adminChain: 'CNI-ADMIN', addresses: ADDRESSES, ...more };
    const record = { attachment, addresses: ADDRESSES, forwarded } as unknown as AttachmentRecord;
    return forwardDifferences(connection, [record]);
  };
  expect(missing({})).toBeGreaterThan(0);
  expect(missing({ zone: 'trusted' })).toBe(0);
  connection.close();
});
