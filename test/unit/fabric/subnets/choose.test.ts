import { describe, expect, test } from 'vitest';
import { chooseSubnets, type HeldLease } from '../../../../src/fabric/subnets/choose.ts';
import {
  leaseLayout,
  leaseValue,
  nodeOfLease,
  type OwnNode,
  parseSubnetKey,
  type Subnets,
  subnetKey,
  subnetLeases,
} from '../../../../src/fabric/subnets/lease.ts';
import { parseNetworkConfig } from '../../../../src/fabric/subnets/network-config.ts';
import { Entry } from '../../../../src/kube/etcd/entries.ts';
import { parseIP } from '../../../../src/net/ip.ts';

const Backend = { Type: 'vxlan' };
const CONFIG = parseNetworkConfig(JSON.stringify({ Network: '10.244.0.0/16', Backend }));
const BOTH = parseNetworkConfig(
  JSON.stringify({
    ...{ Network: '10.244.0.0/16', EnableIPv6: true, IPv6Network: 'fd00::/48', Backend },
  }),
);
const OWN: OwnNode = { nodeName: 'node-a', addresses: { 4: parseIP('192.0.2.1') } };
/** As flannel 0.28 writes it. */
const FLANNEL =
  '{"PublicIP":"192.0.2.9","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"e6:6a:92:c0:4d:11"}}';

function entry(name: string, text: string) {
  const key = `/coreos.com/network/subnets/${name}`;
  return new Entry(
    { name },
    { key, value: text, createRevision: '5', modRevision: '8', leaseId: '3' },
  );
}

const decode = (name: string, text: string) =>
  subnetLeases.decode(leaseLayout('/coreos.com/network').valueOf(entry(name, text)), 'strict');

function held(name: string, text = FLANNEL, createRevision = '5'): HeldLease {
  const { value } = decode(name, text);
  return { name, text, value, createRevision, modRevision: '8', leaseId: '3' };
}

const subnets = (name: string) => parseSubnetKey(name) as Subnets;
const choose = (facts: object) =>
  chooseSubnets({
    ...{ config: CONFIG, own: OWN, leases: [], former: undefined, hasPods: false },
    ...{ random: () => 0, ...facts },
  });

describe('keys', () => {
  test.each([
    ['10.244.1.0-24', ['10.244.1.0/24']],
    ['10.244.1.0-24&fd00:0:0:1::-64', ['10.244.1.0/24', 'fd00:0:0:1::/64']],
  ])('%s', (name, want) => {
    expect(parseSubnetKey(name)).toEqual(want);
    expect(subnetKey(subnets(name))).toBe(name);
  });

  test.each([
    '',
    'config',
    '10.244.1.0',
    '10.244.1.1-24',
    '10.244.1.0-33',
    'fd00::-64',
    '10.1.0.0-16&x',
  ])('%j is none', (name) => {
    expect(parseSubnetKey(name)).toBeUndefined();
  });
});

test('a lease of flannel is a Node with its address, its subnet, and the MAC of its tunnel', () => {
  const lease = decode('10.244.7.0-24', FLANNEL);
  expect(nodeOfLease(lease)).toEqual({
    metadata: {
      ...{ name: '192.0.2.9', namespace: '' },
      ...{ uid: 'etcd-00000000000000000005', resourceVersion: '8' },
    },
    spec: { podCIDRs: ['10.244.7.0/24'] },
    status: { addresses: [{ type: 'InternalIP', address: '192.0.2.9' }] },
    tunnelMac: 'e6:6a:92:c0:4d:11',
    hasTunnelPerFamily: true,
  });
  // As it is kept for a start without etcd.
  expect(subnetLeases.decode(JSON.parse(JSON.stringify(lease)), 'lenient')).toEqual(lease);
});

test('ours has what flannel reads, and a name', () => {
  expect(JSON.parse(leaseValue(OWN, CONFIG))).toEqual({
    ...{ PublicIP: '192.0.2.1', PublicIPv6: null, BackendType: 'vxlan', NodeName: 'node-a' },
    BackendData: { VNI: 1, VtepMAC: expect.stringMatching(/^[0-9a-f:]{17}$/) },
  });
  const { metadata, tunnelMac } = nodeOfLease(decode('10.244.1.0-24', leaseValue(OWN, CONFIG)));
  expect([metadata.name, tunnelMac]).toEqual([
    'node-a',
    JSON.parse(leaseValue(OWN, CONFIG)).BackendData.VtepMAC,
  ]);
});

test.each([
  ['{', /must be an object/],
  ['{}', /PublicIP: is missing/],
  ['{"PublicIP":"x"}', /"x" is no address/],
  ['{"PublicIP":"192.0.2.1","NodeName":"../a"}', /NodeName is not the name of a node/],
  [
    '{"PublicIP":"192.0.2.1","BackendData":{"VtepMAC":"ff:ff:ff:ff:ff:ff"}}',
    /not the address of one device/,
  ],
  ['{"PublicIP":"192.0.2.1","BackendData":{"VtepMAC":"1"}}', /MAC/],
])('%s is no lease', (text, message) => {
  expect(() => decode('10.244.1.0-24', text)).toThrow(message);
});

describe('what a node chooses', () => {
  test('any that is free, of the first hundred', () => {
    expect(choose({})).toEqual({ kind: 'claim', subnets: ['10.244.1.0/24'] });
    expect(choose({ random: () => 0.999 })).toMatchObject({ subnets: ['10.244.100.0/24'] });
    const leases = [held('10.244.1.0-24'), held('10.244.2.0-23')];
    expect(choose({ leases })).toMatchObject({ subnets: ['10.244.4.0/24'] });
  });

  test('of both families those at the same place', () => {
    const both = { config: BOTH };
    expect(choose(both)).toMatchObject({ subnets: ['10.244.1.0/24', 'fd00:0:0:1::/64'] });
    const leases = [held('10.244.9.0-24&fd00:0:0:1::-64')];
    expect(choose({ ...both, leases })).toMatchObject({
      subnets: ['10.244.1.0/24', 'fd00:0:0:2::/64'],
    });
  });

  test('its own, by name or as flannel by address', () => {
    const own = held('10.244.7.0-24', leaseValue(OWN, CONFIG));
    expect(choose({ leases: [own] })).toMatchObject({ kind: 'keep', lease: own, isRight: true });
    const before = held('10.244.7.0-24', FLANNEL.replace('192.0.2.9', '192.0.2.1'));
    expect(choose({ leases: [before] })).toMatchObject({ kind: 'keep', isRight: false });
    const other = held('10.244.7.0-24', leaseValue({ ...OWN, nodeName: 'node-b' }, CONFIG));
    expect(choose({ leases: [other] })).toMatchObject({ kind: 'claim' });
  });

  test('what it had last, and with pods no other', () => {
    const former = subnets('10.244.7.0-24');
    expect(choose({ former })).toEqual({ kind: 'claim', subnets: ['10.244.7.0/24'] });
    const leases = [held('10.244.7.0-24')];
    expect(choose({ former, leases })).toMatchObject({ subnets: ['10.244.1.0/24'] });
    expect(choose({ former, leases, hasPods: true })).toEqual({
      kind: 'refuse',
      reason: expect.stringMatching(
        /^the subnet 10\.244\.7\.0\/24 of this node is leased to 192\.0\.2\.9 now: its pods keep running, and no new ones/,
      ),
    });
    const outside = subnets('10.9.7.0-24');
    expect(choose({ former: outside })).toMatchObject({ subnets: ['10.244.1.0/24'] });
    expect(choose({ former: outside, hasPods: true })).toMatchObject({
      reason: expect.stringContaining('is not of the configured network'),
    });
  });

  test('none where none is free, or its address is not known', () => {
    const leases = [held('10.244.0.0-16')];
    expect(choose({ leases })).toMatchObject({
      reason: expect.stringContaining('no subnet of /24 is free in 10.244.0.0/16'),
    });
    expect(choose({ own: { nodeName: 'a', addresses: {} } })).toMatchObject({
      reason: expect.stringContaining('--etcd-node-address'),
    });
  });

  test('a value that cannot be read has its subnet', () => {
    const broken = { ...held('10.244.1.0-24'), value: undefined };
    expect(choose({ leases: [broken] })).toMatchObject({ subnets: ['10.244.2.0/24'] });
  });
});
