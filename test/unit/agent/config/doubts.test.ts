import { expect, test } from 'vitest';
import { findDoubts } from '../../../../src/agent/config/doubts.ts';
import {
  fillDefaults,
  type KubeProxyConfiguration,
  type Sparse,
} from '../../../../src/agent/config/kube-proxy-config.ts';
import { resolveProxySettings } from '../../../../src/agent/config/proxy-settings.ts';

const GOOD = { mode: 'nftables', clusterCIDR: '10.0.0.0/8' };
const [V4, V6] = ['192.168.0.0/24', 'fd00:5::/64'];

test.each<[string, Sparse<KubeProxyConfiguration>, RegExp[]]>([
  ['nothing to doubt', GOOD, []],
  ['dual stack', { ...GOOD, clusterCIDR: '10.0.0.0/8,fd00::/8', nodePortAddresses: [V4, V6] }, []],
  [
    'NodePorts everywhere',
    { ...GOOD, nodePortAddresses: [] },
    [/^nodePortAddresses is not set: .*all local addresses/],
  ],
  [
    'the mode without a default for NodePorts',
    { ...GOOD, mode: '' },
    [/^nodePortAddresses is not set/],
  ],
  [
    'NodePort networks of one of two families',
    { ...GOOD, clusterCIDR: '10.0.0.0/8,fd00::/8', nodePortAddresses: [V4] },
    [/^nodePortAddresses has no IPv6 network: .*all local IPv6/],
  ],
  [
    'NodePort networks of the other family',
    { ...GOOD, nodePortAddresses: [V6] },
    [/^nodePortAddresses has no IPv4 network/, /^clusterCIDR has no IPv6 network/],
  ],
  [
    'a clusterCIDR of one of two families',
    { ...GOOD, nodePortAddresses: [V4, V6] },
    [/^clusterCIDR has no IPv6 network/],
  ],
  ['no detector', { mode: 'nftables' }, [/^detectLocalMode is ClusterCIDR and clusterCIDR is not/]],
  ['another detector', { mode: 'nftables', detectLocalMode: 'NodeCIDR' }, []],
  [
    'servers of another family',
    { ...GOOD, bindAddress: 'fd00:5::1', metricsBindAddress: '127.0.0.1:10249' },
    [
      /^clusterCIDR has no IPv6 network/,
      /^metricsBindAddress 127.0.0.1 is of another family than bindAddress fd00:5::1$/,
    ],
  ],
])('%s', (_name, sparse, want) => {
  const settings = resolveProxySettings(fillDefaults(sparse), (path) => path.join('.'));
  const doubts = findDoubts(settings);
  expect(doubts).toEqual(want.map((pattern) => expect.stringMatching(pattern)));
});
