/** Sysctls and link settings in a pod's namespace, with the kernel's own answers. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Result } from '../../src/cni/protocol/result.ts';
import { tuningWith } from '../../src/cni/tuning/tuning.ts';
import { MemberLab, type MemberPod } from '../support/member-lab.ts';

let lab: MemberLab;
let pod: MemberPod;
let count = 0;

beforeAll(() => {
  lab = new MemberLab();
  pod = newPod();
});
afterAll(() => lab.remove());

function newPod(): MemberPod {
  count += 1;
  return lab.pod(count);
}
const tuning = () => tuningWith({ allowlistFile: join(lab.directory, 'allowlist.conf') });
const full = (config: object) => ({
  type: 'tuning',
  dataDir: join(lab.directory, 'backups'),
  ...config,
});
const callOf = (verb: 'ADD' | 'DEL' | 'CHECK', config: object, ifName = 'eth0') =>
  lab.call(verb, pod, full(config), { ifName });
const add = (config: object, ifName?: string): Result =>
  tuning().add(callOf('ADD', config, ifName), pod.previous, []);
const check = (config: object, ifName?: string) =>
  tuning().check(callOf('CHECK', config, ifName), pod.previous);
const sysctl = (key: string) => pod.netns.run('sysctl', '-n', key).trim();
const link = (name = 'eth0') =>
  pod.netns.ip<{ address: string; mtu: number; txqlen: number; flags: string[] }[]>(
    'link',
    'show',
    name,
  )[0];

describe('sysctls', () => {
  test('are the pod’s, not the node’s', () => {
    const config = {
      sysctl: { 'net.ipv4.conf.IFNAME.log_martians': '1', 'net.core.somaxconn': '500' },
    };
    expect(add(config)).toEqual(pod.previous);
    expect(sysctl('net.ipv4.conf.eth0.log_martians')).toBe('1');
    expect(sysctl('net.core.somaxconn')).toBe('500');
    expect(lab.host.run('sysctl', '-n', 'net.core.somaxconn').trim()).not.toBe('500');
    check(config);
    pod.netns.run('sysctl', '-qw', 'net.core.somaxconn=501');
    expect(() => check(config)).toThrow('sysctl net.core.somaxconn is 501, configured is 500');
  });

  test('several values are compared without their spaces', () => {
    const config = { sysctl: { 'net.ipv4.ip_local_port_range': '20000 30000' } };
    add(config);
    check(config);
  });

  test('one that does not exist fails and names itself', () => {
    expect(() => add({ sysctl: { 'net.ipv4.nonsense': '1' } })).toThrow('net/ipv4/nonsense');
  });

  test('the allowlist is asked', () => {
    const file = join(lab.directory, 'allowlist.conf');
    writeFileSync(file, '^net\\.core\\.');
    const refused = { sysctl: { 'net.ipv4.tcp_sack': '0' } };
    expect(() => add(refused)).toThrow('Sysctl net.ipv4.tcp_sack is not allowed');
    expect(sysctl('net.ipv4.tcp_sack')).toBe('1');
    add({ sysctl: { 'net.core.somaxconn': '77' } });
    writeFileSync(file, '.');
  });
});

describe('[129] link settings', () => {
  const config = {
    mac: 'c2:11:22:33:44:55',
    mtu: 1454,
    promisc: true,
    allmulti: true,
    txQLen: 321,
  };

  test('are applied, told in the result and checked', () => {
    const result = add(config);
    expect(result.interfaces[2]).toEqual({
      ...pod.previous.interfaces[2],
      mac: 'c2:11:22:33:44:55',
      mtu: 1454,
    });
    expect(result.interfaces.slice(0, 2)).toEqual(pod.previous.interfaces.slice(0, 2));
    expect(link()).toMatchObject({ address: 'c2:11:22:33:44:55', mtu: 1454, txqlen: 321 });
    expect(link()?.flags).toEqual(expect.arrayContaining(['PROMISC', 'ALLMULTI']));
    check(config);
  });

  test('addresses and routes outlive a new hardware address, and the node learns it', () => {
    pod = newPod();
    lab.host.run('ping', '-c1', '-W2', `10.22.${count}.2`);
    add({ ...config, sysctl: { 'net.ipv4.conf.IFNAME.arp_notify': '1' } });
    lab.host.run('ping', '-c1', '-W2', `10.22.${count}.2`);
    expect(pod.netns.run('ip', '-6', 'route')).toContain('default via');
    expect(pod.netns.run('ip', 'route')).toContain('default via');
  });

  test.each([
    [{ mac: 'c2:11:22:33:44:56' }, 'mac of eth0 is c2:11:22:33:44:55'],
    [{ mtu: 1400 }, 'mtu of eth0 is 1454'],
    [{ args: { cni: { promisc: false } } }, 'promiscuous mode of eth0 is true'],
    [{ args: { cni: { allmulti: false } } }, 'allmulti of eth0 is true'],
    [{ txQLen: 5 }, 'txQLen of eth0 is 321'],
  ])('CHECK of %j says %s', (change, message) => {
    expect(() => check({ ...config, ...change })).toThrow(message);
  });

  test('undo brings the link back', () => {
    pod = newPod();
    const before = link();
    const steps: (() => void)[] = [];
    tuning().add(callOf('ADD', config), pod.previous, steps);
    for (const step of steps.reverse()) step();
    expect(link()).toEqual(before);
  });

  test('a missing interface is named', () => {
    expect(() => add(config, 'net7')).toThrow('failed to get "net7"');
  });
});

describe('interfaces that stay', () => {
  const backups = () => {
    const directory = join(lab.directory, 'backups');
    const names = existsSync(directory) ? readdirSync(directory) : [];
    return names.filter((name) => name.startsWith(`${pod.id}_`));
  };

  test('a veth that host-device handed to the pod goes back as it was', () => {
    const before = link();
    const changed = { mtu: 1400, promisc: true, mac: 'c2:11:22:33:44:98', allmulti: true };
    add({ ...changed, txQLen: 77 });
    expect(link()).not.toEqual(before);
    tuning().del(callOf('DEL', {}));
    expect(link()).toEqual(before);
    expect(backups()).toEqual([]);
  });

  test('a setting that the link does not take any more costs neither the others nor the DEL', () => {
    add({ mtu: 1400, promisc: true, txQLen: 77 });
    const file = join(lab.directory, 'backups', `${pod.id}_eth0.json`);
    const saved = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(file, JSON.stringify({ ...saved, mtu: 70_000, mac: 'ff:ff:ff:ff:ff:ff' }));
    tuning().del(callOf('DEL', {}));
    expect(link()).toMatchObject({ mtu: 1400, txqlen: 1000 });
    expect(link()?.flags).not.toContain('PROMISC');
    expect(backups()).toEqual([]);
  });

  test('other links get back what they had at DEL, too', () => {
    pod.netns.run('ip', 'link', 'add', 'net1', 'type', 'bridge');
    const before = link('net1');
    add({ mtu: 1400, promisc: true, mac: 'c2:11:22:33:44:99' }, 'net1');
    add({ mtu: 1300 }, 'net1');
    expect(backups()).toEqual([`${pod.id}_net1.json`]);
    tuning().del(callOf('DEL', {}, 'net1'));
    expect(link('net1')).toMatchObject({ mtu: before?.mtu, address: before?.address });
    expect(link('net1')?.flags).not.toContain('PROMISC');
    expect(backups()).toEqual([]);
    tuning().del(callOf('DEL', {}, 'net1'));
  });

  test('DEL without the namespace forgets, GC forgets what is invalid on this network', () => {
    add({ mtu: 1400 }, 'net1');
    tuning().del({ ...callOf('DEL', {}, 'net1'), netns: undefined });
    expect(backups()).toEqual([]);
    add({ mtu: 1400 }, 'net1');
    tuning().gc(lab.gcCall([], full({}), { network: 'other' }));
    expect(backups()).toHaveLength(1);
    tuning().gc(lab.gcCall([], full({})));
    expect(backups()).toEqual([]);
  });
});

test('in one exec only sysctls and promisc are looked at', () => {
  const wanted = (config: object) => tuning().isWanted(lab.call('ADD', pod, config).request);
  expect(wanted({ type: 'weft', mtu: 1400 })).toBe(false);
  expect(wanted({ type: 'weft', sysctl: { 'net.core.somaxconn': '1' } })).toBe(true);
  expect(wanted({ type: 'tuning', mtu: 1400 })).toBe(true);
});
