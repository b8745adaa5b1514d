import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { netnses } from '../../src/kernel/netns.ts';
import { deleteLinks } from '../../src/kernel/rtnl/link-batch.ts';
import { openRtnl } from '../../src/kernel/rtnl.ts';
import type { Netns, NodeRtnl } from '../../src/kernel/types.ts';
import { parseIP } from '../../src/net/ip.ts';
import { localMac, parseMac } from '../../src/net/mac.ts';
import { NetlinkSocket } from '../../src/netlink/socket.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';

let node: TestNetns;
let pod: TestNetns;
let nodeNetns: Netns;
let podNetns: Netns;
let host: NodeRtnl;
let inside: NodeRtnl;

beforeAll(() => {
  node = createNetns('node');
  pod = createNetns('pod');
  nodeNetns = netnses.open(node.path);
  podNetns = netnses.open(pod.path);
  host = openRtnl(nodeNetns);
  inside = openRtnl(podNetns);
});

afterAll(() => {
  for (const open of [host, inside, nodeNetns, podNetns]) open.close();
  node.remove();
  pod.remove();
});

test('an error says the name of a link', () => {
  const index = createPair(90);
  expect(() => host.changeLink(index, { mtu: 1 })).toThrow(/^change link "h90" \(mtu\)/);
  host.deleteLink(index);
});

test('an IPv4 address has the broadcast address of its network, as the reference sets it', () => {
  const index = createPair(91);
  for (const text of ['10.9.0.2/24', '10.9.1.0/31', '10.9.2.1/32', '10.9.3.1/30', 'fd00:9::2/64']) {
    const [address = '', length = ''] = text.split('/');
    host.addAddress(index, { address: parseIP(address), prefixLength: Number(length) });
  }
  const [listed] = node.ip<{ addr_info: { local: string; broadcast?: string; scope: string }[] }[]>(
    ...(['address', 'show', 'dev', 'h91'] as const),
  );
  const broadcasts = listed?.addr_info
    .filter(({ scope }) => scope === 'global')
    .map(({ local, broadcast }) => [local, broadcast]);
  expect(broadcasts).toEqual([
    ['10.9.0.2', '10.9.0.255'],
    ['10.9.1.0', undefined],
    ['10.9.2.1', undefined],
    ['10.9.3.1', '10.9.3.3'],
    ['fd00:9::2', undefined],
  ]);
  host.deleteLink(index);
});

test('a FIFO is no namespace, and nobody waits for it', () => {
  const directory = mkdtempSync(join(tmpdir(), 'wt-fifo-'));
  const fifo = join(directory, 'fifo');
  try {
    execFileSync('mkfifo', [fifo]);
    expect(() => netnses.open(fifo)).toThrow(`unknown FS magic on "${fifo}"`);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/** A pair `h<n>` here and `p<n>` in the pod; gives the node's end. */
function createPair(n: number, more: { group?: number; alias?: string } = {}): number {
  const { alias, ...spec } = more;
  host.createVeth({
    host: {
      name: `h${n}`,
      mac: localMac(Buffer.from([2, 1, 0, 0, n >> 8, n])),
      ...(alias === undefined ? {} : { alias }),
    },
    pod: {
      name: `p${n}`,
      mac: localMac(Buffer.from([2, 2, 0, 0, n >> 8, n])),
      netns: podNetns,
    },
    ...spec,
  });
  return indexOf(`h${n}`);
}

function indexOf(name: string): number {
  const link = host.link(name);
  if (link === undefined) throw new Error(`no link ${name}`);
  return link.index;
}

/** As iproute2 prints it: `default` is 0. */
function groupOf(name: string): string {
  const [link] = node.ip<{ group: string }[]>('link', 'show', name);
  return link?.group ?? 'gone';
}

describe('createVeth', () => {
  test('gives the node end an alias and a group', () => {
    createPair(900, { group: 42, alias: 'ns/pod eth0' });
    expect(host.link('h900')).toMatchObject({ group: 42, alias: 'ns/pod eth0' });
    expect(node.run('ip', 'link', 'show', 'group', '42')).toContain('alias ns/pod eth0');
  });

  test('a taken name leaves the alias of the link that has it alone', () => {
    createPair(901, { alias: 'first' });
    expect(() => createPair(901, { alias: 'second' })).toThrow('EEXIST');
    expect(host.link('h901')?.alias).toBe('first');
  });
});

describe('deleteLinks', () => {
  test('[67] deletes exactly the named links, gone ones included, and their peers', () => {
    const doomed = [1, 2, 3, 4, 5].map((n) => createPair(n));
    createPair(6, { group: 7 });
    host.deleteLinks([...doomed, 424242]);
    host.deleteLinks(doomed);
    host.deleteLinks([]);
    expect([1, 2, 3, 4, 5].map((n) => host.link(`h${n}`))).toEqual(new Array(5).fill(undefined));
    expect(inside.link('p1')).toBeUndefined();
    expect(inside.link('p6')).toBeDefined();
    expect(host.link('h6')?.group).toBe(7);
    host.deleteLinks([indexOf('h6')]);
    expect(host.link('h6')).toBeUndefined();
  });

  test('both ends of a pair may be named', () => {
    node.run('ip', 'link', 'add', 'a0', 'type', 'veth', 'peer', 'name', 'a1');
    host.deleteLinks([indexOf('a0'), indexOf('a1')]);
    expect(host.link('a0') ?? host.link('a1')).toBeUndefined();
  });

  test('a link that cannot be deleted stops everything before it begins', () => {
    const kept = [createPair(10, { group: 3 }), indexOf('lo')];
    expect(() => host.deleteLinks(kept)).toThrow('delete link lo: hardware or loopback');
    expect([groupOf('h10'), groupOf('lo')]).toEqual(['3', 'default']);
  });

  test('a group number that a link already carries is refused, and nothing is touched', () => {
    const socket = NetlinkSocket.open(0, { netns: nodeNetns });
    createPair(20, { group: 0x4000_0001 });
    const mine = [createPair(21, { group: 5 }), createPair(22)];
    expect(() => deleteLinks(socket, mine, () => 0x4000_0001)).toThrow(
      'group 1073741825 is in use by h20',
    );
    expect(['h21', 'h22'].map(groupOf)).toEqual(['5', 'default']);
    deleteLinks(socket, mine, () => 0x4000_0002);
    expect(host.link('h21')).toBeUndefined();
    expect(host.link('h20')).toBeDefined();
    socket.close();
  });

  test('a refused group deletion gives every link its own group back', () => {
    const mine = [createPair(30, { group: 9 }), createPair(31)];
    const socket = NetlinkSocket.open(0, { netns: nodeNetns });
    // The one group that the kernel refuses to delete.
    expect(() => deleteLinks(socket, mine, () => 0)).toThrow('EPERM');
    expect(['h30', 'h31'].map(groupOf)).toEqual(['9', 'default']);
    socket.close();
  });

  test('is one wait for many links', { timeout: 60_000 }, () => {
    const count = 24;
    const elapsed = (job: () => void) => {
      const start = performance.now();
      job();
      return performance.now() - start;
    };
    const pairs = (first: number) => Array.from({ length: count }, (_, i) => createPair(first + i));
    const single = pairs(100);
    const singleMs = elapsed(() => {
      for (const index of single) host.deleteLink(index);
    });
    const batch = pairs(200);
    const batchMs = elapsed(() => host.deleteLinks(batch));
    expect(batchMs).toBeLessThan(singleMs / 3);
  });
});

describe('bridge VLANs', () => {
  test('the filtering state is read, and set where the kernel can', () => {
    host.createBridge({ name: 'brv', mac: parseMac('02:00:00:00:00:01') });
    const bridge = indexOf('brv');
    expect(host.link('brv')?.vlanFiltering).toBe(false);
    const port = createPair(50);
    host.changeLink(port, { master: bridge });
    if (!canFilterVlans(bridge)) {
      expect(() => host.changeBridge(bridge, { vlanFiltering: true })).toThrow('ENOTSUP');
      expect(() => host.addPortVlans(port, [{ vid: 5 }])).toThrow('add VLANs of link "h50"');
      expect(host.portVlans(port)).toEqual([]);
      return;
    }
    host.changeBridge(bridge, { vlanFiltering: true });
    expect(host.link('brv')?.vlanFiltering).toBe(true);
    expect(host.portVlans(port)).toEqual([{ vid: 1, isPvid: true, isUntagged: true }]);
    host.deletePortVlans(port, [{ vid: 1 }]);
    host.addPortVlans(port, [
      { vid: 5, isPvid: true, isUntagged: true },
      { vid: 100, lastVid: 102 },
    ]);
    host.addPortVlans(bridge, [{ vid: 7 }], { isSelf: true });
    expect(host.portVlans(port)).toEqual([
      { vid: 5, isPvid: true, isUntagged: true },
      ...[100, 101, 102].map((vid) => ({ vid, isPvid: false, isUntagged: false })),
    ]);
    expect(host.portVlans(bridge).map(({ vid }) => vid)).toEqual([1, 7]);
    host.deletePortVlans(port, [{ vid: 100, lastVid: 101 }, { vid: 300 }]);
    expect(host.portVlans(port).map(({ vid }) => vid)).toEqual([5, 102]);
  });

  function canFilterVlans(bridge: number): boolean {
    const { status } = node.attempt('bridge', ['vlan', 'add', 'dev', 'brv', 'vid', '9', 'self']);
    if (status === 0) host.deletePortVlans(bridge, [{ vid: 9 }], { isSelf: true });
    return status === 0;
  }
});
