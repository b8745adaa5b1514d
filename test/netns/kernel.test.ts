import { closeSync, openSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { NetnsError, netnses } from '../../src/kernel/netns.ts';
import { openRtnl } from '../../src/kernel/rtnl.ts';
import { linkSysctl, sysctls } from '../../src/kernel/sysctls.ts';
import type { Netns, Rtnl } from '../../src/kernel/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';
import { parseMac } from '../../src/net/mac.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';

let node: TestNetns;
let pod: TestNetns;
let nodeNetns: Netns;
let podNetns: Netns;
let host: Rtnl;
let inside: Rtnl;

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

/** Wires the pod once; each test that needs it calls this and finds it done. */
function wire() {
  if (host.link('br0') === undefined) {
    host.createBridge({ name: 'br0', mac: parseMac('02:00:00:00:00:01'), mtu: 1400 });
  }
  const bridge = host.link('br0');
  if (bridge === undefined) throw new Error('no bridge');
  if (host.link('vh') === undefined) {
    host.changeLink(bridge.index, { isUp: true, alias: 'pods' });
    host.createVeth({
      host: { name: 'vh', mac: parseMac('02:00:00:00:00:02') },
      pod: { name: 'eth0', mac: parseMac('02:00:00:00:00:03'), netns: podNetns },
      mtu: 1400,
      master: bridge.index,
    });
  }
  const port = host.link('vh');
  const eth0 = inside.link('eth0');
  if (port === undefined || eth0 === undefined) throw new Error('no veth');
  inside.changeLink(eth0.index, { isUp: true });
  return { bridge, port, eth0 };
}

describe('netnses', () => {
  test('equal namespaces have equal ids, others do not', () => {
    const again = netnses.open(node.path);
    expect(again.id).toBe(nodeNetns.id);
    expect(podNetns.id).not.toBe(nodeNetns.id);
    expect(netnses.self().id).not.toBe(nodeNetns.id);
    again.close();
    again.close();
  });

  test.each([
    ['/no/such/netns', true, 'failed to open netns "/no/such/netns"'],
    ['/proc/version', false, 'unknown FS magic on "/proc/version": 9fa0'],
    ['/proc/self/ns/mnt', false, 'is a namespace, but not a network namespace'],
  ])('[56] %s is refused (missing: %s)', (path, isMissing, message) => {
    const failure = () => netnses.open(path);
    expect(failure).toThrow(NetnsError);
    expect(failure).toThrow(expect.objectContaining({ isMissing }));
    expect(failure).toThrow(message);
  });

  test('[57] a closed one opens nothing any more, and is closed once', () => {
    const netns = netnses.open('/proc/self/ns/net');
    netns.close();
    expect(() => openRtnl(netns).links()).toThrow(`network namespace ${netns.id} is closed`);
    netns.close();
  });

  test('a descriptor that is no namespace is closed', () => {
    const fd = openSync('/proc/version', 'r');
    expect(() => netnses.adopt(fd, 'passed')).toThrow('unknown FS magic');
    expect(() => closeSync(fd)).toThrow('EBADF');
  });
});

describe('rtnl', () => {
  test('one message makes both ends of a veth, in their places', () => {
    const { bridge, port, eth0 } = wire();
    expect(port).toMatchObject({
      kind: 'veth',
      mac: '02:00:00:00:00:02',
      mtu: 1400,
      isUp: true,
      master: bridge.index,
      peerIndex: eth0.index,
    });
    expect(eth0).toMatchObject({ mac: '02:00:00:00:00:03', mtu: 1400, peerIndex: port.index });
    expect(bridge).toMatchObject({ kind: 'bridge', mac: '02:00:00:00:00:01' });
  });

  test('a taken bridge name is reported, a taken veth name is an error with its errno', () => {
    const { bridge } = wire();
    expect(host.createBridge({ name: 'br0', mac: parseMac('02:00:00:00:00:09') })).toBe(false);
    const pair = {
      host: { name: 'vh', mac: parseMac('02:00:00:00:00:05') },
      pod: { name: 'eth9', mac: parseMac('02:00:00:00:00:06'), netns: podNetns },
      master: bridge.index,
    };
    expect(() => host.createVeth(pair)).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    expect(() => host.createVeth(pair)).toThrow('create veth vh with peer eth9');
    expect(inside.link('eth9')).toBeUndefined();
  });

  test('bridge port flags are set as the kernel shows them', () => {
    const { port } = wire();
    host.changeBridgePort(port.index, { hairpin: true, isolated: true });
    expect(node.run('ip', '-d', 'link', 'show', 'vh')).toMatch(/hairpin on .*isolated on/s);
    host.changeBridgePort(port.index, { hairpin: false });
    expect(node.run('ip', '-d', 'link', 'show', 'vh')).toMatch(/hairpin off .*isolated on/s);
  });

  test('promiscuous mode, alias and mtu can be changed and read back', () => {
    const { bridge } = wire();
    host.changeLink(bridge.index, { isPromiscuous: true, mtu: 1300, alias: 'x y' });
    expect(host.link('br0')).toMatchObject({ isPromiscuous: true, mtu: 1300, alias: 'x y' });
    host.changeLink(bridge.index, { isPromiscuous: false });
    expect(host.link('br0')).toMatchObject({ isPromiscuous: false, isUp: true });
  });

  test('addresses are usable at once and adding twice is no error', () => {
    const { eth0 } = wire();
    const v6 = { address: parseIP('fd00::2'), prefixLength: 64 };
    expect(inside.addAddress(eth0.index, v6)).toBe(true);
    expect(inside.addAddress(eth0.index, v6)).toBe(false);
    expect(inside.addAddress(eth0.index, { address: parseIP('10.0.0.2'), prefixLength: 24 })).toBe(
      true,
    );
    expect(pod.run('ip', '-6', 'addr', 'show', 'dev', 'eth0', 'tentative', 'scope', 'global')).toBe(
      '',
    );
    expect(inside.addresses(eth0.index)).toContainEqual({
      link: eth0.index,
      address: '10.0.0.2',
      prefixLength: 24,
      scope: 'global',
    });
  });

  test('a table that nobody has made holds no routes', () => {
    expect([inside.routes(4, 4242), inside.routes(6, 4242)]).toEqual([[], []]);
  });

  test('routes carry gateway, metrics, table and priority', () => {
    const { eth0 } = wire();
    inside.addAddress(eth0.index, { address: parseIP('10.0.0.2'), prefixLength: 24 });
    const route = {
      destination: parseCidr('10.99.0.0/16'),
      gateway: parseIP('10.0.0.1'),
      link: eth0.index,
      table: 100,
      priority: 50,
      mtu: 1280,
      advmss: 1200,
    };
    expect(inside.addRoute(route)).toBe(true);
    expect(inside.addRoute(route)).toBe(false);
    expect(inside.routes(4, 100)).toEqual([{ ...route, scope: 0, protocol: 4 }]);
    expect(inside.deleteRoute(route)).toBe(true);
    expect(inside.deleteRoute(route)).toBe(false);
    const onlink = {
      destination: parseCidr('10.98.0.0/16'),
      gateway: parseIP('192.168.9.9'),
      link: eth0.index,
      isOnlink: true,
    };
    inside.replaceRoute(onlink);
    inside.replaceRoute(onlink);
    expect(pod.run('ip', 'route', 'show', '10.98.0.0/16')).toContain('via 192.168.9.9 dev eth0');
    inside.addRoute({
      destination: parseCidr('::/0'),
      gateway: parseIP('fd00::1'),
      link: eth0.index,
    });
    expect(pod.run('ip', '-6', 'route', 'show', 'default')).toContain('via fd00::1');
  });

  test('neighbours are set and deleted', () => {
    const { bridge } = wire();
    host.setNeighbour(bridge.index, parseIP('10.0.0.2'), parseMac('02:00:00:00:00:03'));
    expect(node.run('ip', 'neigh', 'show', 'dev', 'br0')).toContain('02:00:00:00:00:03 REACHABLE');
    expect(host.deleteNeighbour(bridge.index, parseIP('10.0.0.2'))).toBe(true);
    expect(host.deleteNeighbour(bridge.index, parseIP('10.0.0.2'))).toBe(false);
  });

  test('what does not exist is undefined or false, not an error', () => {
    expect(host.link('nope')).toBeUndefined();
    expect(host.linkByIndex(4242)).toBeUndefined();
    expect(host.deleteLink(4242)).toBe(false);
  });
});

describe('sysctls', () => {
  test('[54] are those of the namespace, and only of it', () => {
    sysctls.write(podNetns, 'net/ipv4/ip_forward', '1');
    expect(sysctls.read(podNetns, 'net/ipv4/ip_forward')).toBe('1');
    expect(pod.run('cat', '/proc/sys/net/ipv4/ip_forward')).toBe('1\n');
    expect(sysctls.read(nodeNetns, 'net/ipv4/ip_forward')).toBe('0');
  });

  test('[61] an interface name with a dot keeps its entry', () => {
    node.run('ip', 'link', 'add', 'br.5', 'type', 'bridge');
    sysctls.write(nodeNetns, linkSysctl('ipv6', 'br.5', 'accept_ra'), '0');
    expect(node.run('cat', '/proc/sys/net/ipv6/conf/br.5/accept_ra')).toBe('0\n');
  });

  test('missing entries read as undefined, odd paths are refused', () => {
    expect(sysctls.read(podNetns, 'net/ipv4/nothing')).toBeUndefined();
    expect(() => sysctls.read(podNetns, '../../etc/passwd')).toThrow('is not plain');
    expect(() => sysctls.write(podNetns, 'net/ipv4/ip_forward', 'many')).toThrow('EINVAL');
  });

  test('of a procfs that is mounted elsewhere are those of the namespace, too', () => {
    process.env['WEFT_SYSCTL_DIR'] = '/proc/self/root/proc/sys';
    onTestFinished(() => {
      delete process.env['WEFT_SYSCTL_DIR'];
    });
    sysctls.write(podNetns, 'net/ipv4/tcp_sack', '0');
    expect(sysctls.read(podNetns, 'net/ipv4/tcp_sack')).toBe('0');
    expect(sysctls.read(nodeNetns, 'net/ipv4/tcp_sack')).toBe('1');
    process.env['WEFT_SYSCTL_DIR'] = '/nowhere';
    expect(sysctls.read(podNetns, 'net/ipv4/tcp_sack')).toBeUndefined();
  });
});
