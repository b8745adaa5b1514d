import { describe, expect, test } from 'vitest';
import { bridgeMac, hostVethName, vethMacs } from '../../../../src/cni/attachment.ts';
import { parseBridgeConfig } from '../../../../src/cni/bridge/config.ts';
import { type AttachmentPlan, buildPlan } from '../../../../src/cni/bridge/plan.ts';
import { buildResult } from '../../../../src/cni/bridge/result.ts';
import type { SpecVersion } from '../../../../src/cni/protocol/versions.ts';
import { parseIPWithPrefix } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { parseMac } from '../../../../src/net/mac.ts';
import { request } from '../builders.ts';
import { golden } from '../golden.ts';

const attachment = { network: 'net', containerId: 'pod-1', ifName: 'eth0' };
const v4 = { address: parseIPWithPrefix('10.1.2.2/24'), gateway: parseIP('10.1.2.1') };
const v6 = { address: parseIPWithPrefix('fd00:1::2/64'), gateway: parseIP('fd00:1::1') };

function plan(
  config: Record<string, unknown>,
  ips: readonly (typeof v4 | { address: typeof v4.address })[] = [v4],
) {
  return buildPlan({
    attachment,
    config: parseBridgeConfig(request({ config })),
    lease: { ips, dns: { nameservers: ['10.1.0.1'] } },
    nodeId: 'machine',
    tiesSenders: config['policy'] === true,
  });
}

const ipam = { type: 'host-local' };
const withRoute = { ...ipam, routes: [{ dst: '0.0.0.0/0' }] };

describe('whole plans', () => {
  test.each<[string, AttachmentPlan]>([
    ['issue-0.2.0', plan({ isGateway: true, ipMasq: true, ipam: withRoute })],
    [
      'dual-stack',
      plan({ isDefaultGateway: true, ipMasq: true, hairpinMode: true, mtu: 1400, ipam }, [v4, v6]),
    ],
    ['policy', plan({ isDefaultGateway: true, hairpinMode: true, policy: true, ipam }, [v4, v6])],
    ['policy-vlan', plan({ isDefaultGateway: true, vlan: 100, policy: true, ipam }, [v4])],
    ['layer-2', plan({ bridge: 'br9', promiscMode: true }, [])],
    [
      'vlan',
      plan(
        {
          isDefaultGateway: true,
          vlan: 100,
          vlanTrunk: [{ minID: 200, maxID: 210 }],
          uplinkInterface: 'up0',
          macspoofchk: true,
          portIsolation: true,
          enabledad: true,
          mtu: 'auto',
          ipam,
        },
        [v4, v6],
      ),
    ],
  ])('%s', (name, value) => {
    const text = `${JSON.stringify(value, null, 2)}\n`;
    expect(text).toBe(golden(`plan-${name}.json`, text));
  });
});

describe('default routes', () => {
  test.each<[string, Record<string, unknown>, readonly object[]]>([
    ['none asked for', { isGateway: true, ipam }, []],
    ['added', { isDefaultGateway: true, ipam }, [{ dst: '0.0.0.0/0', gw: '10.1.2.1' }]],
    [
      'one without gateway is not doubled',
      { isDefaultGateway: true, ipam: withRoute },
      [{ dst: '0.0.0.0/0', gw: '10.1.2.1' }],
    ],
    [
      'one with a gateway is kept alone',
      { isDefaultGateway: true, ipam: { ...ipam, routes: [{ dst: '0.0.0.0/0', gw: '10.1.2.9' }] } },
      [{ dst: '0.0.0.0/0', gw: '10.1.2.9' }],
    ],
    [
      'one in another table stays beside',
      { isDefaultGateway: true, ipam: { ...ipam, routes: [{ dst: '0.0.0.0/0', table: 5 }] } },
      [
        { dst: '0.0.0.0/0', table: 5 },
        { dst: '0.0.0.0/0', gw: '10.1.2.1' },
      ],
    ],
  ])('%s', (_name, config, want) => {
    expect(plan(config).result.routes).toEqual(want);
  });

  test('a route without gateway goes to the first gateway of its family', () => {
    const routes = [
      { dst: '10.9.1.1/16', mtu: 1300 },
      { dst: '10.8.0.0/16', scope: 253 },
    ];
    expect(plan({ ipam: { ...ipam, routes } }).pod.routes).toEqual([
      { destination: '10.9.0.0/16', gateway: '10.1.2.1', mtu: 1300 },
      { destination: '10.8.0.0/16', scope: 253 },
    ]);
  });

  test('a route of a family without an address is refused', () => {
    const routes = [{ dst: '::/0' }];
    expect(() => plan({ ipam: { ...ipam, routes } })).toThrow('no address of the family');
  });
});

test('a gateway that IPAM left out is the first address of the network', () => {
  const { bridge, result } = plan({ isGateway: true, ipam }, [{ address: v4.address }]);
  expect({ bridge: bridge.addresses, gateway: result.ips[0]?.gateway }).toEqual({
    bridge: ['10.1.2.1/24'],
    gateway: '10.1.2.1',
  });
});

test('two addresses of one network share a gateway', () => {
  const second = { ...v4, address: parseIPWithPrefix('10.1.2.3/24') };
  expect(plan({ isGateway: true, ipam }, [v4, second]).bridge.addresses).toEqual(['10.1.2.1/24']);
});

test('dns of the configuration replaces that of IPAM', () => {
  expect(plan({ ipam, dns: { search: ['x'] } }).dns).toEqual({ search: ['x'] });
});

describe('the result', () => {
  const mac = parseMac('aa:bb:cc:00:00:01');
  const made = { bridge: { mac, mtu: 1500 }, port: { mtu: 1400 } };
  const result = (value: AttachmentPlan, more: object = {}, cniVersion: SpecVersion = '1.0.0') =>
    buildResult(value, { ...made, ...more }, { netnsPath: '/run/netns/x', cniVersion });

  test('names bridge, node end and pod end', () => {
    const { interfaces } = result(plan({ ipam }));
    expect(interfaces.map(({ name, sandbox }) => [name, sandbox])).toEqual([
      ['cni0', undefined],
      [hostVethName(attachment), undefined],
      ['eth0', '/run/netns/x'],
    ]);
  });

  test('[80] names the gateway of the VLAN last', () => {
    const vlan = plan({ isGateway: true, vlan: 100, ipam });
    const { interfaces } = result(vlan, { vlanGateway: { mac, mtu: 1500 } });
    expect(interfaces.map(({ name }) => name).slice(2)).toEqual(['eth0', 'cni0.100']);
  });

  test.each<[SpecVersion, readonly unknown[]]>([
    ['1.0.0', [undefined, undefined, undefined]],
    ['1.1.0', [1500, 1400, 1400]],
  ])('MTUs in %s', (cniVersion, want) => {
    expect(result(plan({ ipam }), {}, cniVersion).interfaces.map(({ mtu }) => mtu)).toEqual(want);
  });
});

describe('[80] the gateway of a VLAN', () => {
  test('holds the addresses instead of the bridge', () => {
    const { bridge, vlanGateway } = plan({ isGateway: true, vlan: 100, ipam });
    expect([bridge.addresses, vlanGateway?.addresses]).toEqual([[], ['10.1.2.1/24']]);
  });

  test('is not there without isGateway', () => {
    expect(plan({ vlan: 100, ipam }).vlanGateway).toBeUndefined();
  });

  test('needs a name that fits', () => {
    const config = { isGateway: true, vlan: 4000, bridge: 'a-long-bridge', ipam };
    expect(() => plan(config)).toThrow(
      'gateway link "a-long-bridge.4000": interface name is too long',
    );
  });
});

test('[69] two routes to one destination are two routes', () => {
  const routes = ['10.1.2.7', '10.1.2.8'].map((gw) => ({ dst: '10.9.0.0/16', gw }));
  expect(plan({ ipam: { ...ipam, routes } }).pod.routes.map(({ gateway }) => gateway)).toEqual([
    '10.1.2.7',
    '10.1.2.8',
  ]);
});

test('[68] every attribute of a route reaches the pod', () => {
  const attributes = { mtu: 1300, advmss: 1200, priority: 9, table: 100, scope: 0 };
  const routes = [{ dst: '10.9.0.0/16', gw: '192.168.7.1', onlink: true, ...attributes }];
  expect(plan({ ipam: { ...ipam, routes } }).pod.routes).toEqual([
    { destination: '10.9.0.0/16', gateway: '192.168.7.1', isOnlink: true, ...attributes },
  ]);
});

describe('names', () => {
  test('differ with every part of the attachment', () => {
    const names = [
      attachment,
      { ...attachment, network: 'other' },
      { ...attachment, containerId: 'pod-2' },
      { ...attachment, ifName: 'eth1' },
      { ...attachment, network: 'netp', containerId: 'od-1' },
    ].map(hostVethName);
    expect(new Set(names).size).toBe(5);
    expect(names.every((name) => /^veth[0-9a-f]{8}$/.test(name))).toBe(true);
  });

  test('hardware addresses are local unicast, differ by end and stay the same', () => {
    const { host, pod } = vethMacs(attachment);
    expect(vethMacs({ ...attachment })).toEqual({ host, pod });
    expect(host).not.toBe(pod);
    for (const mac of [host, pod, bridgeMac('machine', 'cni0')]) {
      expect(Number.parseInt(mac.slice(0, 2), 16) & 3).toBe(2);
    }
    expect(bridgeMac('machine', 'cni0')).not.toBe(bridgeMac('other', 'cni0'));
  });
});
