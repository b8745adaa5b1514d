/** Links, addresses and ports as the bridge plugin makes them, on a node in a namespace. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { markReady } from '../../src/cni/boot-gate.ts';
import { readBootId } from '../../src/cni/machine.ts';
import { BridgeLab } from '../support/bridge-lab.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';

let lab: BridgeLab;
beforeEach(() => {
  lab = new BridgeLab();
});
afterEach(() => lab.remove());

interface Address {
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[];
}

function addressesOf(netns: TestNetns, link: string): string[] {
  const [listed] = netns.ip<Address[]>('addr', 'show', 'dev', link);
  return (listed?.addr_info ?? [])
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`)
    .filter((address) => !address.startsWith('fe80'));
}

function reaches(from: TestNetns, address: string): boolean {
  return from.attempt('ping', ['-c1', '-W1', address]).status === 0;
}

function ipsOf(address: string) {
  return { runtimeConfig: { ips: [address] } };
}

describe('64-70: the pair', () => {
  test('[64, 66] ends in the right namespaces, with the addresses of the result', () => {
    const pod = lab.pod();
    const { interfaces } = lab.add(lab.config(), { pod });
    const [bridge, port, end] = interfaces;
    const inside = lab.rtnl.link(port?.name ?? '');
    expect(pod.ip('link', 'show', 'eth0')).toMatchObject([
      { ifindex: inside?.peerIndex, address: end?.mac, operstate: 'UP' },
    ]);
    expect([lab.link('br0')['address'], lab.link(port?.name ?? '')['address']]).toEqual([
      bridge?.mac,
      port?.mac,
    ]);
    expect(lab.link(port?.name ?? '')['ifalias']).toBe('net/pod-1/eth0');
  });

  test('[65] both names are in the error when the pod has the interface', () => {
    const pod = lab.pod();
    lab.add(lab.config(), { pod });
    expect(lab.failure('ADD', lab.config(), { pod }).msg).toMatch(
      /^container veth name \("eth0"\) peer provided \("veth[0-9a-f]{8}"\) already exists$/,
    );
    expect(reaches(pod, '10.22.0.1')).toBe(true);
  });

  test('[68] addresses and routes with all their attributes', () => {
    const pod = lab.pod();
    const ipam = {
      ...Object(lab.dualStack()['ipam']),
      routes: [
        { dst: '10.50.0.0/16', mtu: 1300, advmss: 1200, priority: 77 },
        { dst: '10.51.0.0/16', table: 100 },
        { dst: '10.52.0.0/16', scope: 253 },
        { dst: '10.53.0.0/16', gw: '192.168.9.9', onlink: true },
        { dst: 'fd00:50::/64', mtu: 1290, priority: 78 },
      ],
    };
    lab.add(lab.dualStack({ ipam, isDefaultGateway: false, isGateway: true }), { pod });
    expect(addressesOf(pod, 'eth0')).toEqual(['10.22.0.2/24', 'fd00:22::2/64']);
    const [first] = pod.ip<object[]>('-details', 'route', 'show', '10.50.0.0/16');
    expect(first).toMatchObject({
      gateway: '10.22.0.1',
      metric: 77,
      metrics: [{ mtu: 1300, advmss: 1200 }],
    });
    expect(pod.ip('route', 'show', 'table', '100')).toMatchObject([{ dst: '10.51.0.0/16' }]);
    expect(pod.ip('route', 'show', '10.52.0.0/16')).toMatchObject([{ scope: 'link' }]);
    expect(pod.ip('route', 'show', '10.53.0.0/16')).toMatchObject([{ flags: ['onlink'] }]);
    expect(pod.ip('-6', 'route', 'show', 'fd00:50::/64')).toMatchObject([
      { gateway: 'fd00:22::1', metric: 78, metrics: [{ mtu: 1290 }] },
    ]);
  });

  test('[69] two routes to one destination keep both next hops', () => {
    const pod = lab.pod();
    const routes = ['10.22.0.7', '10.22.0.8'].map((gw) => ({ dst: '10.50.0.0/16', gw }));
    const routes6 = ['fd00:22::7', 'fd00:22::8'].map((gw) => ({ dst: 'fd00:50::/64', gw }));
    const ipam = { ...Object(lab.dualStack()['ipam']), routes: [...routes, ...routes6] };
    const config = lab.dualStack({ ipam });
    lab.add(config, { pod });
    const text = pod.run('ip', 'route', 'show', '10.50.0.0/16');
    const text6 = pod.run('ip', '-6', 'route', 'show', 'fd00:50::/64');
    expect([text.match(/via 10\.22\.0\.[78]/g), text6.match(/via fd00:22::[78]/g)]).toEqual([
      ['via 10.22.0.7', 'via 10.22.0.8'],
      ['via fd00:22::7', 'via fd00:22::8'],
    ]);
    expect(() => lab.check(config, { pod })).not.toThrow();
  });

  test('[70] an IPv6 address outlives the link being down', () => {
    const pod = lab.pod();
    lab.add(lab.dualStack(), { pod });
    pod.run('ip', 'link', 'set', 'eth0', 'down');
    pod.run('ip', 'link', 'set', 'eth0', 'up');
    expect(addressesOf(pod, 'eth0')).toContain('fd00:22::2/64');
  });

  test('[73] duplicate address detection finds the other owner', () => {
    const [a, b] = [lab.pod(), lab.pod()];
    const config = lab.dualStack({ enabledad: true });
    lab.add(config, { pod: a });
    expect(a.run('ip', '-6', 'addr', 'show', 'dev', 'eth0', 'scope', 'global', 'tentative')).toBe(
      '',
    );
    a.run('ip', 'addr', 'add', 'fd00:22::9/64', 'dev', 'eth0', 'nodad');
    const taken = lab.dualStack({ enabledad: true, ...ipsOf('fd00:22::9') });
    const before = lab.ports();
    expect(lab.failure('ADD', taken, { id: 'pod-2', pod: b }).msg).toContain(
      'address fd00:22::9 of "eth0" is in use on the network',
    );
    expect(lab.ports()).toEqual(before);
  });
});

describe('74-76, 84, 85: the bridge', () => {
  test('[74] is made, up and not promiscuous', () => {
    lab.add(lab.config(), { pod: lab.pod() });
    expect(lab.link('br0')).toMatchObject({ operstate: 'UP', promiscuity: 0 });
  });

  test('[75] one that is there is used as it is', () => {
    lab.host.run('ip', 'link', 'add', 'br0', 'mtu', '1450', 'type', 'bridge');
    const before = lab.link('br0');
    lab.add(lab.config({ mtu: 1450 }), { pod: lab.pod() });
    const after = lab.link('br0');
    expect([after['ifindex'], after['address'], after['mtu']]).toEqual([
      before['ifindex'],
      before['address'],
      1450,
    ]);
  });

  test('[87] one that has lost its ports and with them its address gets one that lasts', () => {
    lab.host.run('ip', 'link', 'add', 'br0', 'type', 'bridge');
    lab.host.run('ip', 'link', 'add', 'ifb7', 'type', 'ifb');
    lab.host.run('ip', 'link', 'set', 'ifb7', 'master', 'br0');
    lab.host.run('ip', 'link', 'del', 'ifb7');
    expect(lab.link('br0')['address']).toBe('00:00:00:00:00:00');
    const { interfaces } = lab.add(lab.config(), { pod: lab.pod() });
    lab.add(lab.config(), { id: 'pod-2', pod: lab.pod() });
    lab.del(lab.config());
    expect(lab.link('br0')['address']).toBe(interfaces[0]?.mac);
    expect(interfaces[0]?.mac).not.toBe('00:00:00:00:00:00');
  });

  test('[76] another kind of link in its place is an error', () => {
    lab.host.run('ip', 'link', 'add', 'br0', 'type', 'ifb');
    const { msg } = lab.failure('ADD', lab.config(), { pod: lab.pod() });
    expect(msg).toBe('"br0" already exists but is not a bridge');
  });

  test('[85] promiscMode', () => {
    lab.add(lab.config({ promiscMode: true }), { pod: lab.pod() });
    expect(lab.link('br0')).toMatchObject({ promiscuity: 1 });
  });

  test.each<[string, readonly string[], boolean, readonly string[] | string]>([
    ['the same', ['10.22.0.1/24'], false, ['10.22.0.1/24', 'fd00:22::1/64']],
    [
      'another of IPv4',
      ['10.99.0.1/24'],
      false,
      '"br0" already has an IP address different from 10.22.0.1/24',
    ],
    ['another of IPv4, forced', ['10.99.0.1/24'], true, ['10.22.0.1/24', 'fd00:22::1/64']],
    [
      'overlapping IPv6',
      ['fd00:22::5/60'],
      false,
      '"br0" already has an IP address different from fd00:22::1/64',
    ],
    ['overlapping IPv6, forced', ['fd00:22::5/60'], true, ['10.22.0.1/24', 'fd00:22::1/64']],
    ['IPv6 beside', ['fd00:99::1/64'], false, ['10.22.0.1/24', 'fd00:22::1/64', 'fd00:99::1/64']],
  ])('[84] addresses: %s', (_name, present, forceAddress, want) => {
    lab.host.run('ip', 'link', 'add', 'br0', 'type', 'bridge');
    lab.host.run('ip', 'link', 'set', 'br0', 'up');
    for (const address of present) lab.host.run('ip', 'addr', 'add', address, 'dev', 'br0');
    const [config, pod] = [lab.dualStack({ forceAddress }), lab.pod()];
    if (typeof want === 'string') {
      expect(lab.failure('ADD', config, { pod }).msg).toBe(want);
    } else {
      lab.add(config, { pod });
      expect(addressesOf(lab.host, 'br0').sort()).toEqual([...want].sort());
    }
  });
});

test('other podCIDRs of a node with the fabric: gateways of old and new pods side by side', () => {
  markReady({ component: 'fabric', runDirectory: `${lab.directory}/run`, bootId: readBootId });
  const [old, fresh] = [lab.pod(), lab.pod()];
  lab.add(lab.dualStack({ fabric: true }), { id: 'old', pod: old });
  const ranges = [[{ subnet: '10.33.0.0/24' }], [{ subnet: 'fd00:33::/64' }]];
  const ipam = { type: 'host-local', dataDir: lab.directory, ranges };
  lab.add(lab.config({ fabric: true, ipam }), { id: 'fresh', pod: fresh });
  expect(addressesOf(lab.host, 'br0').sort()).toEqual(
    ['10.22.0.1/24', '10.33.0.1/24', 'fd00:22::1/64', 'fd00:33::1/64'].sort(),
  );
  const answers = [
    [old, '10.22.0.1'],
    [old, '10.33.0.2'],
    [fresh, '10.33.0.1'],
    [fresh, 'fd00:33::1'],
  ] as const;
  expect(answers.map(([pod, address]) => reaches(pod, address))).toEqual([true, true, true, true]);
});

test('[88] hardware address of CNI_ARGS, then args.cni, then runtimeConfig', () => {
  const macOf = (id: string, change: object) => {
    const pod = lab.pod();
    lab.add(lab.config(change), { id, pod, args: 'MAC=c2:11:22:33:44:77' });
    return pod.ip<{ address: string }[]>('link', 'show', 'eth0')[0]?.address;
  };
  const args = { cni: { mac: 'c2:11:22:33:44:88' } };
  expect([
    macOf('a', {}),
    macOf('b', { args }),
    macOf('c', { args, runtimeConfig: { mac: 'c2:11:22:33:44:99' } }),
  ]).toEqual(['c2:11:22:33:44:77', 'c2:11:22:33:44:88', 'c2:11:22:33:44:99']);
});

describe('[92] macspoofchk', () => {
  const spoofed = '02:00:00:00:00:99';
  const tables = () => lab.nft('list', 'tables');
  const elements = () => lab.nft('list', 'table', 'bridge', 'weft-spoof').match(/veth\w{8}/g) ?? [];

  test('frames of another address are dropped, the pod is reached again with its own', () => {
    const [a, b] = [lab.pod(), lab.pod()];
    const config = lab.config({ macspoofchk: true });
    const { interfaces } = lab.add(config, { id: 'a', pod: a });
    lab.add(lab.config(), { id: 'b', pod: b });
    expect(reaches(a, '10.22.0.3')).toBe(true);
    a.run('ip', 'link', 'set', 'eth0', 'address', spoofed);
    a.run('ip', 'route', 'replace', 'default', 'via', '10.22.0.1');
    const isSpoofedHeard = reaches(a, '10.22.0.3');
    a.run('ip', 'link', 'set', 'eth0', 'address', interfaces[2]?.mac ?? '');
    expect([isSpoofedHeard, reaches(a, '10.22.0.3')]).toEqual([false, true]);
    b.run('ip', 'link', 'set', 'eth0', 'address', spoofed);
    expect(reaches(b, '10.22.0.1')).toBe(true);
  });

  test('there is one rule, and two elements a pod, gone after DEL and after a failed ADD', () => {
    const config = lab.config({ macspoofchk: true });
    for (const id of ['a', 'b']) lab.add(config, { id, pod: lab.pod() });
    expect(elements().length).toBe(4);
    expect(lab.nft('list', 'chain', 'bridge', 'weft-spoof', 'prerouting')).toContain(
      'iifname @guarded-ports iifname . ether saddr != @allowed-senders drop',
    );
    lab.del(config, { id: 'a' });
    lab.del(lab.config(), { id: 'b' });
    expect(elements()).toEqual([]);
    const routes = [{ dst: '10.9.0.0/16', gw: '192.168.7.1' }];
    const broken = { ...config, ipam: { ...Object(config['ipam']), routes } };
    expect(lab.failure('ADD', broken, { id: 'c', pod: lab.pod() }).msg).toContain('10.9.0.0/16');
    expect(elements()).toEqual([]);
    expect(lab.ports()).toEqual([]);
  });

  test('nobody pays for it who does not ask for it', () => {
    lab.add(lab.config(), { pod: lab.pod() });
    lab.del(lab.config());
    expect(tables()).not.toContain('weft-spoof');
  });
});

test('[93] disableContainerInterface leaves the pod end down', () => {
  const pod = lab.pod();
  const config = lab.config({ disableContainerInterface: true, ipam: {} });
  lab.add(config, { pod });
  expect(pod.ip('link', 'show', 'eth0')).toMatchObject([{ operstate: 'DOWN' }]);
  expect(() => lab.check(config, { pod })).not.toThrow();
});

test('[94] isolated ports reach the gateway and open ports, not each other', () => {
  const [a, b, open] = [lab.pod(), lab.pod(), lab.pod()];
  const config = lab.config({ portIsolation: true });
  lab.add(config, { id: 'a', pod: a });
  lab.add(config, { id: 'b', pod: b });
  lab.add(lab.config(), { id: 'open', pod: open });
  // Redirects and forwarding would let the gateway pass packets on between them.
  expect({
    gateway: reaches(a, '10.22.0.1'),
    open: reaches(a, '10.22.0.4'),
    isolated: reaches(a, '10.22.0.3'),
  }).toEqual({ gateway: true, open: true, isolated: false });
});

describe('[133] mtu', () => {
  function mtusOf(config: object): unknown[] {
    const pod = lab.pod();
    const { interfaces } = lab.add(config, { pod });
    const [inside] = pod.ip<{ mtu: number }[]>('link', 'show', 'eth0');
    expect(interfaces[2]?.mtu).toBe(inside?.mtu);
    return interfaces.map(({ mtu }) => mtu);
  }

  function withUplink(run: (outside: TestNetns) => void): void {
    const outside = createNetns('out');
    try {
      connect({ netns: lab.host, link: 'up0' }, { netns: outside, link: 'up0' });
      lab.host.run('ip', 'link', 'set', 'up0', 'mtu', '1390');
      run(outside);
    } finally {
      outside.remove();
    }
  }

  test.each<[string, readonly string[], object, readonly number[]]>([
    ['of the default route', ['default'], { mtu: 'auto' }, [1390, 1390, 1390]],
    ['of the default route under our own name', ['default'], { type: 'weft' }, [1390, 1390, 1390]],
    [
      'of the configuration before that',
      ['default'],
      { type: 'weft', mtu: 1400 },
      [1400, 1400, 1400],
    ],
    [
      'kernel default without a default route',
      ['10.9.0.0/16'],
      { mtu: 'auto' },
      [1500, 1500, 1500],
    ],
    ['kernel default under the reference name', ['default'], {}, [1500, 1500, 1500]],
  ])('%s', (_name, [route = ''], change, want) => {
    withUplink(() => {
      lab.host.run('ip', 'route', 'add', route, 'dev', 'up0');
      expect(mtusOf(lab.config(change))).toEqual(want);
    });
  });

  test('of the IPv6 default route where there is no other', () => {
    withUplink(() => {
      lab.host.run('ip', '-6', 'route', 'add', 'default', 'dev', 'up0');
      expect(mtusOf(lab.config({ mtu: 'auto' }))).toEqual([1390, 1390, 1390]);
    });
  });

  test('of the bridge that is there', () => {
    lab.host.run('ip', 'link', 'add', 'br0', 'mtu', '1340', 'type', 'bridge');
    expect(mtusOf(lab.config({ mtu: 'auto' }))).toEqual([1340, 1340, 1340]);
  });
});
