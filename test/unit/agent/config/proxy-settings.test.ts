import { describe, expect, test } from 'vitest';
import {
  fillDefaults,
  type KubeProxyConfiguration,
  type Sparse,
} from '../../../../src/agent/config/kube-proxy-config.ts';
import { KUBE_PROXY_SETTINGS } from '../../../../src/agent/config/kube-proxy-settings.ts';
import { resolveProxySettings } from '../../../../src/agent/config/proxy-settings.ts';
import { shownDefault } from '../../../../src/agent/config/setting.ts';
import { MODES } from '../../../../src/proxy/modes/names.ts';
import { ConfigError } from '../../../../src/util/errors.ts';

const resolve = (sparse: Sparse<KubeProxyConfiguration>) =>
  resolveProxySettings(fillDefaults(sparse), (path) => path.join('.'));

describe('conversion', () => {
  test('defaults', () => {
    expect(resolve({})).toEqual({
      mode: 'nftables',
      configuredMode: '',
      bindAddress: undefined,
      healthzBindAddress: { host: '0.0.0.0', port: 10256 },
      metricsBindAddress: { host: '127.0.0.1', port: 10249 },
      bindAddressHardFail: false,
      hasProfiling: false,
      masqueradeAll: false,
      masqueradeBit: 14,
      localhostNodePorts: true,
      syncPeriodMs: 30_000,
      minSyncPeriodMs: 1_000,
      configSyncPeriodMs: 900_000,
      clusterCIDRs: [],
      localDetection: undefined,
      nodePortAddresses: { kind: 'cidrs', cidrs: [] },
      oomScoreAdj: -999,
      conntrack: {
        maxPerCore: 32768,
        min: 131072,
        tcpEstablishedTimeoutMs: 86_400_000,
        tcpCloseWaitTimeoutMs: 3_600_000,
        isTcpLiberal: false,
        udpTimeoutMs: 0,
        udpStreamTimeoutMs: 0,
      },
      ipvs: {
        scheduler: '',
        excludeCIDRs: [],
        isStrictARP: false,
        tcpTimeoutMs: 0,
        tcpFinTimeoutMs: 0,
        udpTimeoutMs: 0,
      },
      featureGates: new Map(),
    });
  });

  const sections = {
    iptables: { masqueradeAll: true, masqueradeBit: 15, syncPeriod: '10s', minSyncPeriod: '2s' },
    nftables: { masqueradeAll: false, masqueradeBit: 31, syncPeriod: '20s', minSyncPeriod: '3s' },
    ipvs: { syncPeriod: '40s', minSyncPeriod: '4s' },
  };
  test.each([
    { mode: '', masqueradeAll: true, masqueradeBit: 15, syncPeriodMs: 10_000 },
    { mode: 'iptables', masqueradeAll: true, masqueradeBit: 15, syncPeriodMs: 10_000 },
    { mode: 'auto', masqueradeAll: true, masqueradeBit: 15, syncPeriodMs: 10_000 },
    { mode: 'userspace', masqueradeAll: true, masqueradeBit: 15, syncPeriodMs: 10_000 },
    { mode: 'ipvs', masqueradeAll: true, masqueradeBit: 15, syncPeriodMs: 40_000 },
    { mode: 'nftables', masqueradeAll: false, masqueradeBit: 31, syncPeriodMs: 20_000 },
  ])('mode "$mode" reads its own section', ({ mode, ...want }) => {
    expect(resolve({ mode, ...sections })).toMatchObject(want);
  });

  test.each([
    { name: 'nftables, unset', sparse: { mode: 'nftables' }, want: { kind: 'primary' } },
    { name: 'iptables, unset', sparse: { mode: 'iptables' }, want: { kind: 'cidrs', cidrs: [] } },
    { name: 'auto, unset', sparse: { mode: 'auto' }, want: { kind: 'cidrs', cidrs: [] } },
    {
      name: 'nftables, empty list',
      sparse: { mode: 'nftables', nodePortAddresses: [] },
      want: { kind: 'cidrs', cidrs: [] },
    },
    { name: 'primary', sparse: { nodePortAddresses: ['primary'] }, want: { kind: 'primary' } },
    {
      name: 'CIDRs',
      sparse: { nodePortAddresses: ['192.168.0.7/24', 'fd00::/8'] },
      want: { kind: 'cidrs', cidrs: ['192.168.0.0/24', 'fd00::/8'] },
    },
  ])('nodePortAddresses: $name', ({ sparse, want }) => {
    expect(resolve(sparse).nodePortAddresses).toEqual(want);
  });

  test.each([
    {
      detectLocalMode: 'ClusterCIDR',
      clusterCIDR: '10.0.0.0/8,fd00::/8',
      want: { kind: 'cidrs', cidrs: ['10.0.0.0/8', 'fd00::/8'] },
    },
    { detectLocalMode: 'NodeCIDR', want: { kind: 'nodeCIDRs' } },
    {
      detectLocalMode: 'BridgeInterface',
      detectLocal: { bridgeInterface: 'cni0' },
      want: { kind: 'bridge', name: 'cni0' },
    },
    {
      detectLocalMode: 'InterfaceNamePrefix',
      detectLocal: { interfaceNamePrefix: 'veth' },
      want: { kind: 'interfacePrefix', prefix: 'veth' },
    },
  ])('detectLocalMode $detectLocalMode', ({ want, ...sparse }) => {
    expect(resolve(sparse).localDetection).toEqual(want);
  });

  test.each([
    ['10.0.0.0/8', ['10.0.0.0/8']],
    ['fd00::/8,10.0.0.0/8', ['fd00::/8', '10.0.0.0/8']],
  ])('clusterCIDR %s', (clusterCIDR, want) => {
    expect(resolve({ clusterCIDR }).clusterCIDRs).toEqual(want);
  });

  test.each([
    ['192.168.0.7', '192.168.0.7'],
    ['::', undefined],
    ['0.0.0.0', undefined],
    ['fd00:0::7', 'fd00::7'],
  ])('bindAddress %s', (bindAddress, want) => {
    expect(resolve({ bindAddress }).bindAddress).toBe(want);
  });
});

describe('validation', () => {
  test.each<[string, Sparse<KubeProxyConfiguration>]>([
    [
      'mode: expected nftables, iptables, ipvs, userspace, auto or nothing, found "nftable" (did you mean nftables?)',
      { mode: 'nftable' },
    ],
    [
      'mode: expected nftables, iptables, ipvs, userspace, auto or nothing, found "lvs"',
      { mode: 'lvs' },
    ],
    [
      'iptables.masqueradeBit: expected a whole number, 0 to 31, found 32',
      { iptables: { masqueradeBit: 32 } },
    ],
    [
      'nftables.masqueradeBit: expected a whole number, 0 to 31, found -1',
      { nftables: { masqueradeBit: -1 } },
    ],
    ['oomScoreAdj: expected a whole number, -1000 to 1000, found 1001', { oomScoreAdj: 1001 }],
    [
      'iptables.syncPeriod: expected more than 0s, found -1s',
      { iptables: { syncPeriod: '-1s', minSyncPeriod: '-2s' } },
    ],
    [
      'iptables.minSyncPeriod: 31s is longer than iptables.syncPeriod, 30s',
      { iptables: { minSyncPeriod: '31s' } },
    ],
    ['configSyncPeriod: expected more than 0s, found -5m', { configSyncPeriod: '-5m' }],
    ['bindAddress: expected an IP address, found "node-a"', { bindAddress: 'node-a' }],
    [
      'healthzBindAddress: expected an address with a port such as 0.0.0.0:10256, found "localhost:1"',
      { healthzBindAddress: 'localhost:1' },
    ],
    [
      'metricsBindAddress: expected an address with a port such as 0.0.0.0:10249, found "1.2.3.4:70000"',
      { metricsBindAddress: '1.2.3.4:70000' },
    ],
    [
      'nodePortAddresses: expected a CIDR such as 10.0.0.0/8, found "192.168.0.1"',
      { nodePortAddresses: ['192.168.0.1'] },
    ],
    [
      'nodePortAddresses: "primary" cannot be combined with other addresses',
      { nodePortAddresses: ['primary', '10.0.0.0/8'] },
    ],
    [
      'detectLocalMode: expected ClusterCIDR, NodeCIDR, BridgeInterface, InterfaceNamePrefix or nothing, found "clusterCIDR" (did you mean ClusterCIDR?)',
      { detectLocalMode: 'clusterCIDR' },
    ],
    [
      'detectLocal.bridgeInterface: detectLocalMode BridgeInterface needs it',
      { detectLocalMode: 'BridgeInterface' },
    ],
    [
      'detectLocal.interfaceNamePrefix: detectLocalMode InterfaceNamePrefix needs it',
      { detectLocalMode: 'InterfaceNamePrefix' },
    ],
    [
      'clusterCIDR: expected a CIDR such as 10.0.0.0/8, found "10.0.0.0"',
      { clusterCIDR: '10.0.0.0' },
    ],
    [
      'clusterCIDR: expected at most one CIDR of each family, found "10.0.0.0/8,172.30.0.0/16"',
      { clusterCIDR: '10.0.0.0/8,172.30.0.0/16' },
    ],
    ['conntrack.min: expected a whole number, 0 or more, found -1', { conntrack: { min: -1 } }],
    ['conntrack.udpTimeout: expected at least 0s, found -1s', { conntrack: { udpTimeout: '-1s' } }],
    ['ipvs.tcpTimeout: expected at least 0s, found -1s', { ipvs: { tcpTimeout: '-1s' } }],
    [
      'ipvs.excludeCIDRs.1: expected a CIDR such as 10.0.0.0/8, found "x"',
      { ipvs: { excludeCIDRs: ['10.0.0.0/8', 'x'] } },
    ],
  ])('%s', (message, sparse) => {
    let found: unknown;
    try {
      resolve(sparse);
    } catch (error) {
      found = error;
    }
    expect(found).toBeInstanceOf(ConfigError);
    expect(found).toMatchObject({ message: expect.stringContaining(message) });
    expect(String(found)).toContain(`ConfigError: ${message.split(':')[0]}`);
  });

  test('all mistakes are told at once', () => {
    const attempt = () => resolve({ mode: 'x', bindAddress: 'y', oomScoreAdj: 2000 });
    expect(attempt).toThrow(/^mode: .*\nbindAddress: .*\noomScoreAdj: .*$/);
  });
});

/** Whether words such as `unless "mode: a" or "mode: b" is written` are true of a configured mode. */
function isSaidOf(mode: string, words: string): boolean {
  const [, word, list = ''] = /(unless|where) (.*) is written/.exec(words) ?? [];
  const isNamed = [...list.matchAll(/"mode: (\w+)"/g)].some(([, name]) => name === mode);
  return word === 'where' ? isNamed : !isNamed;
}

describe.each(['', 'auto', ...MODES])('what the words of settings promise of mode "%s"', (mode) => {
  const { iptables, nftables, nodePortAddresses } = KUBE_PROXY_SETTINGS;
  const periods = { syncPeriod: '20s', minSyncPeriod: '2s' };
  const values = { masqueradeAll: true, ...periods };

  test.each([
    ['iptables', iptables],
    ['nftables', nftables],
  ])('section %s counts', (name, rows) => {
    const settings = resolve({ mode, [name]: values });
    const { masqueradeAll, syncPeriod, minSyncPeriod } = rows;
    expect(settings.masqueradeAll).toBe(isSaidOf(mode, masqueradeAll.describe));
    expect(settings.syncPeriodMs === 20_000).toBe(isSaidOf(mode, syncPeriod.describe));
    expect(settings.minSyncPeriodMs === 2_000).toBe(isSaidOf(mode, minSyncPeriod.describe));
  });

  test('NodePorts without a word', () => {
    const isPrimary = isSaidOf(mode, shownDefault(nodePortAddresses) ?? '');
    expect(resolve({ mode }).nodePortAddresses.kind).toBe(isPrimary ? 'primary' : 'cidrs');
  });
});

test.each([
  ['0.0.0.0', /^([^,]+),/],
  ['::', / (\S+)$/],
])('servers without a word, with bindAddress %s', (bindAddress, place) => {
  const config = fillDefaults({ bindAddress });
  for (const key of ['healthzBindAddress', 'metricsBindAddress'] as const) {
    expect(place.exec(shownDefault(KUBE_PROXY_SETTINGS[key]) ?? '')?.[1]).toBe(config[key]);
  }
});
