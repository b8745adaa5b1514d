/** CHECK, STATUS, GC and joint DELs of the bridge plugin, on a node in a namespace. */
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BridgeLab } from '../support/bridge-lab.ts';
import type { TestNetns } from '../support/netns.ts';

let lab: BridgeLab;
beforeEach(() => {
  lab = new BridgeLab();
});
afterEach(() => lab.remove());

function network(change: object = {}): Record<string, unknown> {
  return lab.dualStack({ ipMasq: true, hairpinMode: true, macspoofchk: true, ...change });
}

function reservations(name = 'net'): string[] {
  return readdirSync(join(lab.directory, name))
    .filter((file) => /^[\d.]+$|:/.test(file))
    .sort();
}

function masqueraded(): string[] {
  const text = lab.nft('list', 'table', 'inet', 'weft-cni');
  return text.match(/(10\.22\.0\.|fd00:22::)\d+(?= comment)/g)?.sort() ?? [];
}

function neighbours(): string[] {
  return lab.host.ip<{ dst: string }[]>('neigh', 'show', 'dev', 'br0').map(({ dst }) => dst);
}

describe('[91] CHECK', () => {
  test('an attachment that is whole', () => {
    const pod = lab.pod();
    lab.add(network(), { pod });
    expect(() => lab.check(network(), { pod })).not.toThrow();
  });

  test('a layer 2 network', () => {
    const pod = lab.pod();
    const config = lab.config({ isDefaultGateway: false, ipam: {} });
    lab.add(config, { pod });
    expect(() => lab.check(config, { pod })).not.toThrow();
  });

  test.each<[string, (pod: TestNetns, port: string) => void]>([
    ['somebody listens on the bridge', () => on('ip', 'link', 'set', 'br0', 'promisc', 'on')],
    [
      'udev gave the node end another hardware address',
      (_pod, port) => on('ip', 'link', 'set', port, 'address', '02:00:00:00:00:77'),
    ],
    ['an address more', (pod) => pod.run('ip', 'addr', 'add', '10.99.0.1/24', 'dev', 'eth0')],
    ['a route more', (pod) => pod.run('ip', 'route', 'add', '10.98.0.0/16', 'via', '10.22.0.9')],
    [
      'the default route goes elsewhere',
      (pod) => pod.run('ip', 'route', 'replace', 'default', 'via', '10.22.0.9'),
    ],
  ])('tolerates: %s', (_name, change) => {
    const pod = lab.pod();
    const { interfaces } = lab.add(network(), { pod });
    change(pod, interfaces[1]?.name ?? '');
    expect(() => lab.check(network(), { pod })).not.toThrow();
  });

  test.each<[string, (pod: TestNetns, port: string) => void, string]>([
    [
      'the interface is gone',
      (_pod, port) => on('ip', 'link', 'del', port),
      'is missing in the pod',
    ],
    ['it is down', (pod) => pod.run('ip', 'link', 'set', 'eth0', 'down'), '"eth0" is down'],
    [
      'it has another hardware address',
      (pod) => pod.run('ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:77'),
      'has the address 02:00:00:00:00:77',
    ],
    [
      'an address is gone',
      (pod) => pod.run('ip', 'addr', 'del', 'fd00:22::2/64', 'dev', 'eth0'),
      'lost the address fd00:22::2/64',
    ],
    [
      'the connected route is gone',
      (pod) => pod.run('ip', 'route', 'del', '10.22.0.0/24', 'dev', 'eth0'),
      'route 10.22.0.0/24 is missing',
    ],
    [
      'the default route is gone',
      (pod) => pod.run('ip', 'route', 'del', 'default'),
      'route 0.0.0.0/0 via 10.22.0.1 is missing',
    ],
    [
      'the port left the bridge',
      (_pod, port) => on('ip', 'link', 'set', port, 'nomaster'),
      'is not a port',
    ],
    ['the port is down', (_pod, port) => on('ip', 'link', 'set', port, 'down'), '" is down'],
    [
      'hairpin is off',
      (_pod, port) => on('bridge', 'link', 'set', 'dev', port, 'hairpin', 'off'),
      'hairpin is not true',
    ],
    [
      'the port is isolated',
      (_pod, port) => on('bridge', 'link', 'set', 'dev', port, 'isolated', 'on'),
      'isolation is not false',
    ],
    [
      'the gateway address is gone',
      () => on('ip', 'addr', 'del', '10.22.0.1/24', 'dev', 'br0'),
      'lost the gateway address 10.22.0.1/24',
    ],
    ['the bridge is down', () => on('ip', 'link', 'set', 'br0', 'down'), 'bridge "br0" is down'],
    ['forwarding is off', () => on('sysctl', '-qw', 'net.ipv4.ip_forward=0'), 'ip_forward is 0'],
    [
      'the ruleset was flushed',
      () => on('nft', 'delete', 'table', 'inet', 'weft-cni'),
      'address 10.22.0.2 is not masqueraded',
    ],
    [
      'spoofing is not looked for',
      () => on('nft', 'delete', 'table', 'bridge', 'weft-spoof'),
      'does not check hardware addresses',
    ],
    [
      'the reservation is gone',
      () => rmSync(join(lab.directory, 'net', '10.22.0.2')),
      '10.22.0.2 is not reserved for net/pod-1/eth0',
    ],
  ])('fails: %s', (_name, change, message) => {
    const pod = lab.pod();
    const { interfaces } = lab.add(network(), { pod });
    change(pod, interfaces[1]?.name ?? '');
    expect(lab.failure('CHECK', network(), { pod }).msg).toContain(message);
  });

  function on(command: string, ...args: string[]): void {
    lab.host.run(command, ...args);
  }
});

test('a bridge that somebody has renamed is not made a second time', () => {
  lab.add(network(), { pod: lab.pod() });
  for (const words of [['down'], ['name', 'br9'], ['up']]) {
    lab.host.run('ip', 'link', 'set', words[0] === 'up' ? 'br9' : 'br0', ...words);
  }
  const failure = lab.failure('ADD', network(), { id: 'pod-2', pod: lab.pod() });
  expect(failure.msg).toContain('bridge "br0" is called "br9" by now: rename it back');
  expect(lab.host.attempt('ip', ['link', 'show', 'br0']).status).not.toBe(0);
  expect(lab.ports('br9')).toHaveLength(1);
});

describe('STATUS', () => {
  test('of a node without anything', () => {
    expect(() => lab.status(network())).not.toThrow();
    expect(lab.host.attempt('ip', ['link', 'show', 'br0']).status).not.toBe(0);
  });

  test('with pods', () => {
    lab.add(network(), { pod: lab.pod() });
    expect(() => lab.status(network())).not.toThrow();
  });

  test('a node without an address left is ready for the pods it has', () => {
    const ipam = { type: 'host-local', dataDir: lab.directory, subnet: '10.22.0.0/30' };
    const config = lab.config({ ipam });
    expect(() => lab.status(config)).not.toThrow();
    lab.add(config, { pod: lab.pod() });
    expect(() => lab.status(config)).not.toThrow();
    expect(lab.failure('ADD', config, { id: 'pod-2', pod: lab.pod() })).toMatchObject({
      msg: expect.stringContaining('no IP addresses available in range set: 10.22.0.1-10.22.0.2'),
    });
  });

  test('50: the bridge is something else', () => {
    lab.host.run('ip', 'link', 'add', 'br0', 'type', 'ifb');
    expect(lab.failure('STATUS', network())).toMatchObject({
      code: 50,
      msg: '"br0" already exists but is not a bridge',
    });
  });

  test.each<[string, readonly [string, ...string[]], string]>([
    ['forwarding is off', ['sysctl', '-qw', 'net.ipv6.conf.all.forwarding=0'], 'forwarding is 0'],
    [
      'masquerading was flushed',
      ['nft', 'delete', 'table', 'inet', 'weft-cni'],
      'table inet weft-cni is missing',
    ],
  ])('51: %s', (_name, command, message) => {
    lab.add(network(), { pod: lab.pod() });
    lab.host.run(...command);
    expect(lab.failure('STATUS', network())).toMatchObject({
      code: 51,
      msg: expect.stringContaining(message),
    });
  });
});

describe('GC', () => {
  const l2 = () => lab.config({ isDefaultGateway: false, ipam: {} });

  test('removes everything of what is not valid, and nothing else', () => {
    const valid = lab.pod();
    lab.add(network(), { id: 'valid', pod: valid });
    lab.add(network(), { id: 'lost', pod: lab.pod() });
    lab.add(network({ name: 'other' }), { id: 'lost', ifName: 'eth1', pod: lab.pod() });
    lab.gc(network(), ['valid']);
    expect({
      ports: lab.ports().length,
      reserved: reservations(),
      other: reservations('other'),
      masqueraded: masqueraded(),
      guarded: lab.nft('list', 'set', 'bridge', 'weft-spoof', 'guarded-ports').match(/"veth\w+"/g)
        ?.length,
    }).toEqual({
      ports: 2,
      reserved: ['10.22.0.2', 'fd00:22::2'],
      other: ['10.22.0.2', 'fd00:22::2'],
      masqueraded: ['10.22.0.2', 'fd00:22::2'],
      guarded: 2,
    });
    expect(neighbours()).not.toContain('10.22.0.3');
    expect(() => lab.check(network(), { id: 'valid', pod: valid })).not.toThrow();
  });

  test('knows pods of layer 2 networks by their label', () => {
    for (const id of ['valid', 'lost']) lab.add(l2(), { id, pod: lab.pod() });
    lab.gc(l2(), ['valid']);
    expect(lab.ports().map((name) => lab.link(name)['ifalias'])).toEqual(['net/valid/eth0']);
  });

  test('leaves links alone that only carry such a label', () => {
    lab.add(l2(), { id: 'valid', pod: lab.pod() });
    lab.host.run('ip', 'link', 'add', 'vethfa15e000', 'type', 'veth', 'peer', 'name', 'vethother');
    lab.host.run('ip', 'link', 'set', 'vethfa15e000', 'alias', 'net/lost/eth0');
    lab.gc(l2(), []);
    expect(lab.link('vethfa15e000')['ifname']).toBe('vethfa15e000');
    expect(lab.ports()).toEqual([]);
  });

  test('a reservation that names no interface goes with its container', () => {
    lab.add(network(), { id: 'valid', pod: lab.pod() });
    const file = (address: string) => join(lab.directory, 'net', address);
    writeFileSync(file('10.22.0.8'), 'valid');
    writeFileSync(file('10.22.0.9'), 'lost');
    lab.gc(network(), ['valid']);
    expect(reservations()).toEqual(['10.22.0.2', '10.22.0.8', 'fd00:22::2']);
  });

  test('can be repeated, also where nothing ever was', () => {
    expect(() => lab.gc(network(), [])).not.toThrow();
    lab.add(network(), { pod: lab.pod() });
    lab.gc(network(), []);
    expect(() => lab.gc(network(), [])).not.toThrow();
    expect([lab.ports(), reservations(), masqueraded()]).toEqual([[], [], []]);
  });
});

describe('several DELs at once', () => {
  test('remove everything, with one of them that has nothing', () => {
    const ids = ['a', 'b', 'c', 'd'];
    for (const id of ids) lab.add(network(), { id, pod: lab.pod() });
    expect(lab.delTogether(network(), [...ids, 'never-added'])).toEqual([0, 0, 0, 0, 0]);
    expect([lab.ports(), reservations(), masqueraded(), neighbours()]).toEqual([[], [], [], []]);
  });

  test('fail each for itself', () => {
    for (const id of ['a', 'b']) lab.add(network(), { id, pod: lab.pod() });
    const release = lab.node.ipam.release;
    const ipam = {
      ...lab.node.ipam,
      release: (...args: Parameters<typeof release>) => {
        if (args[0].containerId === 'a') throw new Error('the disk is gone');
        release(...args);
      },
    };
    expect(lab.delTogether(network(), ['a', 'b'], { ...lab.node, ipam })).toEqual([1, 0]);
    expect([lab.ports(), reservations()]).toEqual([[], ['10.22.0.2', 'fd00:22::2']]);
    expect(lab.delTogether(network(), ['a', 'b'])).toEqual([0, 0]);
    expect(reservations()).toEqual([]);
  });

  test('cost about one wait of the kernel', () => {
    const ids = Array.from({ length: 8 }, (_, index) => `pod-${index}`);
    const pods = ids.map(() => lab.pod());
    const config = lab.config();
    const rounds = [0, 1, 2];
    const fastest = (deleteAll: () => void) => {
      const elapsed = rounds.map(() => {
        for (const [index, id] of ids.entries())
          lab.add(config, { id, pod: pods[index] ?? lab.pod() });
        const startedAt = performance.now();
        deleteAll();
        return performance.now() - startedAt;
      });
      return Math.min(...elapsed);
    };
    const oneByOne = fastest(() => {
      for (const id of ids) lab.del(config, { id });
    });
    const together = fastest(() => lab.delTogether(config, ids));
    expect(together).toBeLessThan(oneByOne / 2);
  });
});
