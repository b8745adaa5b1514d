import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { compileSchema } from '../../../../scripts/compile-cni-schema.ts';
import { parseBridgeConfig, parseTeardownConfig } from '../../../../src/cni/bridge/config.ts';
import { configDoubts } from '../../../../src/cni/doubts.ts';
import { toCniError } from '../../../../src/cni/protocol/errors.ts';
import { type Cidr, containsCidr, parseCidr } from '../../../../src/net/cidr.ts';
import { request } from '../builders.ts';

const standard = {
  bridge: 'cni0',
  isGateway: false,
  isDefaultGateway: false,
  forceAddress: false,
  ipMasq: false,
  ipMasqExcept: [],
  hairpinMode: false,
  promiscMode: false,
  portVlans: [],
  preserveDefaultVlan: false,
  macspoofchk: false,
  enabledad: false,
  disableContainerInterface: false,
  portIsolation: false,
  fabric: false,
  policy: false,
  routes: [],
  requestedIPs: [],
};

describe('parseBridgeConfig', () => {
  test.each<[string, Record<string, unknown>, object]>([
    ['defaults', {}, {}],
    ['null is absent', { bridge: null, isGateway: null }, {}],
    ['keys in any case', { BRIDGE: 'br0', IPMASQ: true }, { bridge: 'br0', ipMasq: true }],
    [
      'a default gateway is a gateway',
      { isDefaultGateway: true },
      { isDefaultGateway: true, isGateway: true },
    ],
    ['mtu 0 is absent', { mtu: 0 }, {}],
    ['mtu', { mtu: 1400 }, { mtu: 1400 }],
    ['133: mtu of the uplink', { MTU: 'auto' }, { mtu: 'auto' }],
    ['133: under its own name it is the default', { type: 'weft' }, { mtu: 'auto' }],
    ['133: a number stands', { type: 'weft', mtu: 1400 }, { mtu: 1400 }],
    ['133: the reference name keeps the kernel default', { type: 'bridge', mtu: 0 }, {}],
    ['empty ipam is layer 2', { ipam: {} }, {}],
    [
      'vlan',
      { vlan: 100, preserveDefaultVlan: true, uplinkInterface: 'up0' },
      {
        vlan: 100,
        portVlans: [{ vid: 100, isPvid: true, isUntagged: true }],
        preserveDefaultVlan: true,
        uplinkInterface: 'up0',
      },
    ],
    ['standard values', { vlan: 0, vlanTrunk: [], macspoofchk: false, uplinkInterface: '' }, {}],
    [
      'flags of the port',
      { macspoofchk: true, portIsolation: true, enabledad: true, disableContainerInterface: true },
      { macspoofchk: true, portIsolation: true, enabledad: true, disableContainerInterface: true },
    ],
    [
      'pods that policies select',
      { policy: true, isGateway: true },
      { policy: true, isGateway: true },
    ],
    ['ipam of another type', { ipam: { type: 'dhcp' } }, { foreignIpam: 'dhcp' }],
    ['capabilities of others', { runtimeConfig: { portMappings: [{ hostPort: 80 }] } }, {}],
    [
      'networks without ipMasq',
      { IPMasqExcept: ['10.244.0.0/16', 'fd00::/48'] },
      { ipMasqExcept: ['10.244.0.0/16', 'fd00::/48'] },
    ],
    ['nftables back end', { ipMasqBackend: 'nftables' }, {}],
    ['iptables back end', { ipMasqBackend: 'iptables' }, { ipMasqBackend: 'iptables' }],
    ['unknown keys and prevResult', { capabilities: { x: true }, prevResult: 5, foo: [] }, {}],
    [
      'routes',
      { ipam: { type: '', routes: [{ dst: '::/0', gw: 'FD00::1', priority: 7 }] } },
      { routes: [{ dst: '::/0', gw: 'fd00::1', priority: 7 }] },
    ],
    ['dns of its own', { dns: { nameservers: [] } }, { dns: { nameservers: [] } }],
    ['empty dns', { dns: {} }, {}],
    [
      'mac of args.cni',
      { args: { cni: { mac: 'C2:11:22:33:44:55' } } },
      { podMac: 'c2:11:22:33:44:55' },
    ],
    [
      'mac of runtimeConfig comes first',
      {
        args: { cni: { mac: 'c2:11:22:33:44:55' } },
        RuntimeConfig: { mac: 'c2:11:22:33:44:66' },
      },
      { podMac: 'c2:11:22:33:44:66' },
    ],
    [
      'requested addresses',
      {
        ipam: { type: 'host-local' },
        args: { cni: { ips: ['10.1.2.3/24'] } },
        runtimeConfig: { ips: ['fd00::2'] },
      },
      { ipam: { type: 'host-local' }, requestedIPs: ['10.1.2.3', 'fd00::2'] },
    ],
    [
      'ranges of the runtime',
      {
        ipam: { type: 'host-local' },
        runtimeConfig: { ipRanges: [[{ subnet: '10.1.0.0/16' }]] },
      },
      { ipam: { type: 'host-local', ipRanges: [[{ subnet: '10.1.0.0/16' }]] } },
    ],
  ])('%s', (_name, config, want) => {
    expect(parseBridgeConfig(request({ config }))).toEqual({ ...standard, ...want });
  });

  test.each<[string, Record<string, unknown>, number, string]>([
    ['wrong type', { ipMasq: 'yes' }, 7, 'key "ipMasq" must be boolean'],
    ['wrong type in other case', { IpMasq: 'yes' }, 7, 'key "ipMasq" must be boolean'],
    ['number as text', { mtu: '1500' }, 7, 'key "mtu" must be integer'],
    ['wrong type beside an mtu', { mtu: 'auto', vlan: 'x' }, 7, 'key "vlan" must be integer'],
    ['fraction', { mtu: 1.5 }, 7, 'key "mtu" must be integer'],
    ['negative mtu', { mtu: -1 }, 7, 'key "mtu" must be >= 0'],
    ['object as text', { ipam: 'host-local' }, 7, 'key "ipam" must be object'],
    [
      'deep',
      { ipam: { ranges: [[{ subnet: 5 }]] } },
      7,
      'key "ipam.ranges[0][0].subnet" must be string',
    ],
    ['missing dst', { ipam: { routes: [{}] } }, 7, 'key "ipam.routes[0].dst"'],
    ['bad dst', { ipam: { routes: [{ dst: '10.0.0.0' }] } }, 7, 'ipam.routes[0].dst: "10.0.0.0"'],
    ['bad mac', { runtimeConfig: { mac: 'zz' } }, 7, 'runtimeConfig.mac: "zz"'],
    [
      'bad requested address',
      { ipam: { type: 'host-local' }, runtimeConfig: { ips: ['x'] } },
      7,
      'runtimeConfig.ips',
    ],
    ['bridge name', { bridge: '../lo' }, 7, 'bridge "../lo"'],
    [
      'hairpin and promiscuous',
      { hairpinMode: true, promiscMode: true },
      7,
      'cannot set hairpin mode and promiscuous mode at the same time',
    ],
    ['policy without a router', { policy: true }, 7, 'policy: the node does not route between'],
    [
      'policy and isolation',
      { policy: true, isGateway: true, portIsolation: true },
      7,
      'policy: pods with portIsolation would reach each other',
    ],
    [
      'policy and uplink',
      { policy: true, isDefaultGateway: true, uplinkInterface: 'eth0' },
      7,
      'policy: the node would answer for hosts behind uplinkInterface',
    ],
    ['no network', { ipMasqExcept: ['10.0.0.1'] }, 7, 'invalid value of ipMasqExcept[0]'],
    ['unknown back end', { ipMasqBackend: 'x' }, 7, 'unknown ipmasq backend "x"'],
    ['95: vlan', { vlan: 5000 }, 7, 'invalid VLAN ID 5000 (must be between 0 and 4094)'],
    ['96: trunk', { vlanTrunk: [{ id: 0 }] }, 7, 'incorrect trunk id parameter'],
    [
      '93: addresses for an interface that stays down',
      { disableContainerInterface: true, ipam: { type: 'host-local' } },
      7,
      'cannot use IPAM when DisableContainerInterface flag is set',
    ],
    ['foreign type', { type: 'macvlan' }, 2, 'type = "macvlan"'],
  ])('[86] %s is refused', (_name, config, code, message) => {
    expect(errorOf(() => parseBridgeConfig(request({ config })))).toEqual({
      code,
      msg: expect.stringContaining(message),
    });
  });

  test('the CNI_ARGS address comes first and its MAC last', () => {
    const { requestedIPs, podMac } = parseBridgeConfig(
      request({
        args: 'IP=10.1.2.9;MAC=c2:11:22:33:44:77',
        config: { ipam: { type: 'host-local' }, args: { cni: { ips: ['10.1.2.3'] } } },
      }),
    );
    expect({ requestedIPs, podMac }).toEqual({
      requestedIPs: ['10.1.2.9', '10.1.2.3'],
      podMac: 'c2:11:22:33:44:77',
    });
  });
});

test.each([
  [{}, { bridge: 'cni0', isMasqueraded: false }],
  [
    { bridge: 5, ipam: 'x' },
    { bridge: 'cni0', isMasqueraded: false },
  ],
  [
    { ipam: { type: 'host-local', ranges: 'bad', dataDir: '/x' } },
    { bridge: 'cni0', isMasqueraded: false, ipamType: 'host-local', dataDir: '/x' },
  ],
  [
    { Bridge: 'br1', IPMasq: true, IPAM: { DataDir: '/y' } },
    { bridge: 'br1', isMasqueraded: true, dataDir: '/y' },
  ],
  [{ vlan: 7 }, { bridge: 'cni0', isMasqueraded: false, vlan: 7 }],
  [{ IPMasqBackend: 'iptables' }, { bridge: 'cni0', isMasqueraded: false, usesIptables: true }],
])('teardown reads what it can of %j', (config, want) => {
  expect(parseTeardownConfig(config)).toEqual({ usesIptables: false, ...want });
});

test.each(['10-weft.conflist', '10-weft-dual-stack.conflist'])('%s is accepted', (name) => {
  const url = new URL(`../../../../cni-conf/${name}`, import.meta.url);
  const { plugins } = JSON.parse(readFileSync(url, 'utf8'));
  const [config, ...others] = plugins;
  expect(others).toEqual([]);
  const { ipMasq, ipMasqExcept, ipam } = parseBridgeConfig(request({ config }));
  const subnets = ipam?.ranges?.flat().map(({ subnet }) => parseCidr(subnet ?? '')) ?? [];
  const isExempt = (subnet: Cidr) => ipMasqExcept.some((network) => containsCidr(network, subnet));
  expect(ipMasq).toBe(true);
  expect(subnets.every(isExempt)).toBe(true);
  expect(configDoubts([{ file: name, name: 'weft', cniVersion: '1.0.0', plugins }])).toEqual([]);
});

test('the compiled validator is that of the schema', () => {
  const url = new URL('../../../../src/cni/bridge/config-validator.generated.ts', import.meta.url);
  expect(readFileSync(url, 'utf8')).toBe(compileSchema());
});

function errorOf(run: () => unknown): unknown {
  try {
    return run();
  } catch (thrown) {
    const { cniCode, message } = toCniError(thrown);
    return { code: cniCode, msg: message };
  }
}
