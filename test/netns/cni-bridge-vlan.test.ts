/** VLANs of pods. The kernel needs CONFIG_BRIDGE_VLAN_FILTERING; without it they are refused. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BridgeLab } from '../support/bridge-lab.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';

const canFilterVlans = probeKernel();
// `make test-uml` runs these where the kernel has it; there a missing option must not look like success.
if (process.env['WEFT_NEEDS_VLANS'] !== undefined && !canFilterVlans) {
  throw new Error('this kernel has no bridge VLAN filtering, and the VLAN tests were asked for');
}

let lab: BridgeLab;
beforeEach(() => {
  lab = new BridgeLab();
});
afterEach(() => lab.remove());

function probeKernel(): boolean {
  const netns = createNetns('probe');
  try {
    const command = ['link', 'add', 'br0', 'type', 'bridge', 'vlan_filtering', '1'];
    return netns.attempt('ip', command).status === 0;
  } finally {
    netns.remove();
  }
}

/** Layer 2 only. */
function layer2(change: object): Record<string, unknown> {
  return lab.config({ isDefaultGateway: false, ipam: {}, ...change });
}

/** `100 pvid untagged` of a port, in the kernel's order. */
function vlansOf(port: string): string[] {
  const listed: unknown = JSON.parse(
    lab.host.run('bridge', '-compressvlans', '-json', 'vlan', 'show', 'dev', port),
  );
  const { vlans = [] } = Object(Array.isArray(listed) ? listed[0] : undefined);
  return vlans.map(({ vlan, vlanEnd, flags = [] }: VlanLine) => {
    const words = flags.map((flag) => flag.toLowerCase().replace('egress ', ''));
    return [vlanEnd === undefined ? vlan : `${vlan}-${vlanEnd}`, ...words].join(' ');
  });
}

interface VlanLine {
  readonly vlan: number;
  readonly vlanEnd?: number;
  readonly flags?: readonly string[];
}

function reaches(from: TestNetns, address: string): boolean {
  return from.attempt('ping', ['-c1', '-W1', address]).status === 0;
}

function isFiltering(): unknown {
  const { linkinfo } = lab.link('br0');
  return Object(Object(linkinfo).info_data).vlan_filtering;
}

describe.runIf(!canFilterVlans)('a kernel without VLAN filtering', () => {
  test.each<[string, () => void]>([
    ['no bridge yet', () => undefined],
    ['a bridge with a pod', () => void lab.add(layer2({}), { id: 'first', pod: lab.pod() })],
  ])('refuses rather than leave the pod without isolation: %s', (_name, prepare) => {
    prepare();
    const before = lab.rtnl.links().map(({ name }) => name);
    const { msg } = lab.failure('ADD', lab.config({ vlan: 100 }), { pod: lab.pod() });
    expect(msg).toBe('bridge "br0": this kernel cannot filter VLANs');
    expect(lab.rtnl.links().map(({ name }) => name)).toEqual(before);
  });
});

describe.runIf(canFilterVlans)('[79] VLANs of the port', () => {
  const trunk = [{ id: 101 }, { minID: 200, maxID: 210 }];
  test.each<[string, object, readonly string[]]>([
    ['access', { vlan: 100 }, ['100 pvid untagged']],
    ['trunk', { vlanTrunk: trunk }, ['1 pvid untagged', '101', '200-210']],
    ['both', { vlan: 100, vlanTrunk: trunk }, ['100 pvid untagged', '101', '200-210']],
    [
      'access and default',
      { vlan: 100, preserveDefaultVlan: true },
      ['1 untagged', '100 pvid untagged'],
    ],
    [
      'trunk and default',
      { vlanTrunk: trunk, preserveDefaultVlan: true },
      ['1 pvid untagged', '101', '200-210'],
    ],
  ])('%s', (_name, change, want) => {
    const pod = lab.pod();
    const config = layer2(change);
    const { interfaces } = lab.add(config, { pod });
    expect(vlansOf(interfaces[1]?.name ?? '')).toEqual(want);
    expect(isFiltering()).toBe(1);
    expect(() => lab.check(config, { pod })).not.toThrow();
    lab.host.run('bridge', 'vlan', 'add', 'vid', '999', 'dev', interfaces[1]?.name ?? '');
    const isTolerated = 'preserveDefaultVlan' in change;
    if (isTolerated) expect(() => lab.check(config, { pod })).not.toThrow();
    else expect(lab.failure('CHECK', config, { pod }).msg).toContain('is in VLAN 999 besides');
  });

  test('CHECK misses one', () => {
    const pod = lab.pod();
    const config = layer2({ vlanTrunk: trunk });
    const { interfaces } = lab.add(config, { pod });
    lab.host.run('bridge', 'vlan', 'del', 'vid', '205', 'dev', interfaces[1]?.name ?? '');
    expect(lab.failure('CHECK', config, { pod }).msg).toContain('is not in VLAN 200-210');
  });
});

describe.runIf(canFilterVlans)('[80] a gateway in the VLAN', () => {
  test.each([false, true])('holds the addresses and is shared; default VLAN kept: %s', (kept) => {
    const [a, b] = [lab.pod(), lab.pod()];
    const config = lab.dualStack({ vlan: 100, preserveDefaultVlan: kept });
    const { interfaces } = lab.add(config, { id: 'a', pod: a });
    lab.add(config, { id: 'b', pod: b });
    expect(interfaces.map(({ name }) => name)).toEqual([
      'br0',
      expect.stringMatching(/^veth/),
      'eth0',
      'br0.100',
    ]);
    expect(interfaces[3]?.mac).toBe(lab.link('br0.100')['address']);
    const text = lab.host.run('ip', 'addr', 'show', 'dev', 'br0.100');
    expect(text).toContain('10.22.0.1/24');
    expect(text).toContain('fd00:22::1/64');
    expect(lab.host.run('ip', 'addr', 'show', 'dev', 'br0')).not.toContain('10.22');
    expect({
      gateway: reaches(a, '10.22.0.1'),
      gateway6: reaches(a, 'fd00:22::1'),
      pod: reaches(a, '10.22.0.3'),
      fromNode: reaches(lab.host, '10.22.0.2'),
    }).toEqual({ gateway: true, gateway6: true, pod: true, fromNode: true });
    expect(() => lab.check(config, { id: 'a', pod: a })).not.toThrow();
    lab.del(config, { id: 'a' });
    expect(reaches(b, '10.22.0.1')).toBe(true);
    expect(lab.host.run('ip', 'neigh', 'show', 'dev', 'br0.100')).not.toContain('10.22.0.2 ');
  });
});

describe.runIf(canFilterVlans)('pods of a VLAN that reach each other through the node', () => {
  test.each([
    { name: 'by the network', change: { policy: true } },
    { name: 'because policies are enforced', change: {} },
  ])('$name', ({ change }) => {
    lab.node.policies = { admit: () => undefined, check: () => undefined };
    for (const tables of ['iptables', 'ip6tables']) {
      lab.host.attempt('sysctl', ['-qw', `net.bridge.bridge-nf-call-${tables}=0`]);
    }
    const [a, b, other] = [lab.pod(), lab.pod(), lab.pod()];
    // IPv4: the proxies of IPv6 need nf_tables, which a kernel with VLANs may lack.
    const config = lab.config({ vlan: 100, ...change });
    lab.add(config, { id: 'a', pod: a });
    lab.add(config, { id: 'b', pod: b });
    const elsewhere = { type: 'host-local', dataDir: lab.directory, subnet: '10.23.0.0/24' };
    const inOther = lab.config({ name: 'other', vlan: 200, ipam: elsewhere, ...change });
    lab.add(inOther, { id: 'other', pod: other });
    const proxies = ['br0', 'br0.100', 'br0.200'].map((link) =>
      lab.host.run('sysctl', '-n', `net/ipv4/conf/${link}/proxy_arp_pvlan`).trim(),
    );
    expect(proxies).toEqual(['0', '1', '1']);
    // One less than what the pod sends: a router has passed it on.
    for (const address of ['10.22.0.3', '10.23.0.2']) {
      expect(a.run('ping', '-c1', '-W1', address)).toContain('ttl=63');
    }
    a.run('ip', 'addr', 'add', '10.22.0.77/24', 'dev', 'eth0');
    expect(a.attempt('ping', ['-c1', '-W1', '-I', '10.22.0.77', '10.22.0.1']).status).toBe(1);
    a.run('ip', 'addr', 'del', '10.22.0.77/24', 'dev', 'eth0');
    expect(() => lab.check(config, { id: 'a', pod: a })).not.toThrow();
  });
});

describe.runIf(canFilterVlans)('[136] VLANs on a bridge that is there', () => {
  const addressed = (subnet: string, change: object) => {
    const ipam = { type: 'host-local', dataDir: lab.directory, subnet };
    return lab.config({ ipam, isDefaultGateway: false, ...change });
  };

  test('are told apart, and who was there before is not cut off', () => {
    const [a, b, red, red2, blue] = [lab.pod(), lab.pod(), lab.pod(), lab.pod(), lab.pod()];
    const plain = addressed('10.22.0.0/24', { isGateway: true });
    lab.add(plain, { id: 'a', pod: a });
    lab.add(plain, { id: 'b', pod: b });
    expect(isFiltering()).toBe(0);
    const vlan = (vid: number) => addressed('10.22.0.0/24', { vlan: vid });
    lab.add(vlan(10), { id: 'red', pod: red });
    lab.add(vlan(10), { id: 'red2', pod: red2 });
    lab.add(vlan(20), { id: 'blue', pod: blue });
    expect({
      before: reaches(a, '10.22.0.3'),
      gateway: reaches(a, '10.22.0.1'),
      same: reaches(red, '10.22.0.5'),
      other: reaches(red, '10.22.0.6'),
      plain: reaches(red, '10.22.0.2'),
      toVlan: reaches(a, '10.22.0.4'),
    }).toEqual({
      before: true,
      gateway: true,
      same: true,
      other: false,
      plain: false,
      toVlan: false,
    });
  });

  test('ports without any VLAN are given the default one', () => {
    lab.host.run('ip', 'link', 'add', 'br0', 'type', 'bridge', 'vlan_default_pvid', '0');
    const [a, b] = [lab.pod(), lab.pod()];
    const plain = addressed('10.22.0.0/24', { isGateway: true });
    lab.add(plain, { id: 'a', pod: a });
    lab.add(plain, { id: 'b', pod: b });
    lab.add(addressed('10.23.0.0/24', { name: 'red', vlan: 10 }), { id: 'red', pod: lab.pod() });
    expect([reaches(a, '10.22.0.3'), reaches(a, '10.22.0.1')]).toEqual([true, true]);
  });
});

describe.runIf(canFilterVlans)('uplinkInterface', () => {
  test('carries the VLANs with their tags, besides what it has', () => {
    const outside = createNetns('out');
    try {
      connect({ netns: lab.host, link: 'up0' }, { netns: outside, link: 'up0' });
      lab.host.run('ip', 'link', 'add', 'br0', 'type', 'bridge');
      lab.host.run('ip', 'link', 'set', 'up0', 'master', 'br0');
      const change = { vlan: 100, vlanTrunk: [{ minID: 200, maxID: 201 }], uplinkInterface: 'up0' };
      lab.add(layer2(change), { pod: lab.pod() });
      lab.add(layer2(change), { id: 'pod-2', pod: lab.pod() });
      expect(vlansOf('up0')).toEqual(['1 pvid untagged', '100', '200-201']);
    } finally {
      outside.remove();
    }
  });
});

test('uplinkInterface is never moved into the bridge', () => {
  const outside = createNetns('out');
  try {
    connect({ netns: lab.host, link: 'up0' }, { netns: outside, link: 'up0' });
    const config = layer2({ uplinkInterface: 'up0' });
    expect(lab.failure('ADD', config, { pod: lab.pod() })).toMatchObject({
      code: 7,
      msg: 'uplinkInterface "up0" is not a port of bridge "br0"',
    });
    expect(lab.ports()).toEqual([]);
  } finally {
    outside.remove();
  }
});
