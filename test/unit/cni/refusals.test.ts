/** Which names of plugins would fail the pods of a node's networks. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readNetworkConfigs } from '../../../src/cni/network-configs.ts';
import { configRefusals } from '../../../src/cni/refusals.ts';
import { PLUGIN_NAMES } from '../../../src/cni/registry.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wt-refusals-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const ipam = { type: 'host-local', subnet: '10.1.0.0/24' };
function refusalsOf(plugins: readonly object[], cniVersion = '1.0.0'): readonly string[] {
  const list = { cniVersion, name: 'net', plugins };
  writeFileSync(join(directory, '10-net.conflist'), JSON.stringify(list));
  const refusals = configRefusals(readNetworkConfigs(directory), PLUGIN_NAMES);
  return refusals.map(({ plugin, file, network, reason }) => {
    expect([file, network]).toEqual(['10-net.conflist', 'net']);
    return `${plugin}: ${reason}`;
  });
}

test('a list in wide use is served, and so are plugins of others', () => {
  expect(
    refusalsOf([
      { type: 'bridge', bridge: 'cni0', isGateway: true, ipMasq: true, ipam },
      {
        type: 'portmap',
        capabilities: { portMappings: true },
        externalSetMarkChain: 'KUBE-MARK-MASQ',
      },
      { type: 'bandwidth', capabilities: { bandwidth: true } },
      { type: 'firewall', ingressPolicy: 'same-bridge' },
      { type: 'tuning', allmulti: true, txQLen: 500 },
      { type: 'cilium-cni', whatever: 1 },
    ]),
  ).toEqual([]);
});

test.each<[string, readonly object[], readonly string[]]>([
  [
    'a member of a chain',
    [
      { type: 'bridge', ipam },
      { type: 'firewall', ingressPolicy: 'shut' },
    ],
    ['firewall: ingressPolicy: unsupported ingress policy: "shut"'],
  ],
  [
    'addresses of a plugin of others',
    [{ type: 'macvlan', ipam: { type: 'host-local' } }],
    ['host-local: ipam.ranges: no IP ranges specified'],
  ],
  [
    'addresses that the bridge here gives itself',
    [{ type: 'bridge', ipam: { type: 'static', addresses: [{ address: '10.1.2.3' }] } }],
    [
      expect.stringContaining("static: ipam.addresses[0].address: the 'address' field"),
      expect.stringContaining("bridge: ipam.addresses[0].address: the 'address' field"),
    ],
  ],
  [
    'one exec for a chain',
    [{ type: 'weft', ipam, markMasqBit: 40 }],
    ['weft: markMasqBit: must be 0 to 31'],
  ],
])('%s', (_name, plugins, want) => {
  expect(refusalsOf(plugins)).toEqual(want);
});

test('a version that nobody knows is refused by each', () => {
  expect(refusalsOf([{ type: 'loopback' }, { type: 'tuning' }], '9.0.0')).toEqual([
    expect.stringContaining('loopback: incompatible CNI versions'),
    expect.stringContaining('tuning: incompatible CNI versions: config is "9.0.0"'),
  ]);
});
