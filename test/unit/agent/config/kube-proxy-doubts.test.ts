/**
 * What kube-proxy finds wrong in a configuration (its checkBadConfig and checkBadIPConfig) and what
 * we do. It measures by the family of the Node's first address; we by what is configured, for which
 * `bindAddress` stands here.
 */
import { describe, expect, test } from 'vitest';
import { findDoubts } from '../../../../src/agent/config/doubts.ts';
import {
  fillDefaults,
  type KubeProxyConfiguration,
  type Sparse,
} from '../../../../src/agent/config/kube-proxy-config.ts';
import { resolveProxySettings } from '../../../../src/agent/config/proxy-settings.ts';
import { localDetector, parseNode } from '../../../../src/proxy/node-addresses.ts';

type Verdict = 'taken' | 'told' | 'refused';

interface Case {
  readonly name: string;
  readonly config: Sparse<KubeProxyConfiguration>;
  /** The key that a doubt names. */
  readonly about: string;
  readonly kubeProxy: Verdict;
  /** Where it is another one, with the reason. */
  readonly ours?: { readonly verdict: Verdict; readonly because: string };
}

const [V4, V6] = [{ bindAddress: '10.0.0.1' }, { bindAddress: 'fd01:2345::1' }];

function verdictOf({ config, about }: Case): Verdict {
  try {
    const settings = resolveProxySettings(fillDefaults(config), (path) => path.join('.'));
    return findDoubts(settings).some((doubt) => doubt.startsWith(about)) ? 'told' : 'taken';
  } catch {
    return 'refused';
  }
}

function assertVerdict(row: Case): void {
  expect(verdictOf(row)).toBe(row.ours?.verdict ?? row.kubeProxy);
  // A difference that is none any more has no place in the table.
  expect(row.ours?.verdict).not.toBe(row.kubeProxy);
}

describe('NodePort networks', () => {
  const about = 'nodePortAddresses';
  test.each<Case>([
    {
      name: 'one family throughout',
      config: { ...V4, clusterCIDR: '10.0.0.0/8', nodePortAddresses: ['192.168.0.0/24'] },
      about,
      kubeProxy: 'taken',
    },
    {
      name: 'both families throughout',
      config: {
        ...V4,
        clusterCIDR: '10.0.0.0/8,fd09::/64',
        nodePortAddresses: ['192.168.0.0/24', 'fd03::/64'],
      },
      about,
      kubeProxy: 'taken',
    },
    { name: 'none', config: { ...V4, nodePortAddresses: [] }, about, kubeProxy: 'told' },
    {
      name: 'of one family, pods of both',
      config: { ...V4, clusterCIDR: '10.0.0.0/8,fd09::/64', nodePortAddresses: ['192.168.0.0/24'] },
      about,
      kubeProxy: 'told',
    },
    {
      name: 'of one family, pods of the other',
      config: { ...V6, clusterCIDR: 'fd09::/64', nodePortAddresses: ['192.168.0.0/24'] },
      about,
      kubeProxy: 'told',
    },
  ])('$name', assertVerdict);
});

describe('pod networks', () => {
  const about = 'clusterCIDR';
  test.each<Case>([
    { name: 'nothing configured', config: {}, about, kubeProxy: 'taken' },
    {
      name: 'of the family of the node',
      config: { ...V4, clusterCIDR: '10.0.0.0/8' },
      about,
      kubeProxy: 'taken',
    },
    {
      name: 'of both families',
      config: { ...V4, clusterCIDR: '10.0.0.0/8,fd01:2345::/64' },
      about,
      kubeProxy: 'taken',
    },
    {
      name: 'of both families, the other one first',
      config: { ...V4, clusterCIDR: 'fd01:2345::/64,10.0.0.0/8' },
      about,
      kubeProxy: 'taken',
    },
    {
      name: 'of the other family',
      config: { ...V4, clusterCIDR: 'fd01:2345::/64' },
      about,
      kubeProxy: 'told',
    },
    {
      name: 'of the other family, as what tells local traffic from other',
      config: { ...V4, clusterCIDR: 'fd01:2345::/64', detectLocalMode: 'ClusterCIDR' },
      about,
      kubeProxy: 'refused',
      ours: {
        verdict: 'told',
        because: 'Services of the other family work, and a reload may bring the network',
      },
    },
  ])('$name', assertVerdict);
});

/** kube-proxy ends over the last one; here a family without a network tells no traffic apart. */
test.each([
  { name: 'of one family', podCIDRs: ['10.0.0.0/8'], families: [4] },
  { name: 'of both', podCIDRs: ['10.0.0.0/8', 'fd01:2345::/64'], families: [4, 6] },
  { name: 'of both, IPv6 first', podCIDRs: ['fd01:2345::/64', '10.0.0.0/8'], families: [4, 6] },
  { name: 'of the other family', podCIDRs: ['fd01:2345::/64'], families: [6] },
])('podCIDRs of the Node $name', ({ podCIDRs, families }) => {
  const facts = parseNode({ metadata: { name: 'node-a', namespace: '' }, spec: { podCIDRs } });
  const known = ([4, 6] as const).filter((family) => {
    return localDetector({ kind: 'nodeCIDRs' }, family, facts) !== undefined;
  });
  expect(known).toEqual(families);
});

describe('addresses to listen on', () => {
  const about = 'metricsBindAddress';
  test.each<Case>([
    {
      name: 'IPv4 on an IPv4 node',
      config: { ...V4, metricsBindAddress: '10.0.0.1:9999' },
      about,
      kubeProxy: 'taken',
    },
    {
      name: 'IPv6 on an IPv6 node',
      config: { ...V6, metricsBindAddress: '[fd01:2345::1]:9999' },
      about,
      kubeProxy: 'taken',
    },
    {
      name: 'all of IPv4 on an IPv6 node',
      config: { ...V6, metricsBindAddress: '0.0.0.0:9999' },
      about,
      kubeProxy: 'taken',
    },
    {
      name: 'IPv4 on an IPv6 node',
      config: { ...V6, metricsBindAddress: '10.0.0.1:9999' },
      about,
      kubeProxy: 'told',
    },
  ])('$name', assertVerdict);
});

describe('virtual servers to leave alone', () => {
  const about = 'ipvs.excludeCIDRs';
  test.each<Case>([
    {
      name: 'of the family of the node',
      config: { ...V4, ipvs: { excludeCIDRs: ['10.0.0.0/8'] } },
      about,
      kubeProxy: 'taken',
    },
    {
      name: 'of the other family',
      config: { ...V6, ipvs: { excludeCIDRs: ['10.0.0.0/8', '192.168.0.0/24'] } },
      about,
      kubeProxy: 'told',
    },
  ])('$name', assertVerdict);
});

test.each(['10.0.0.1', 'fd01:2345::1'])('winkernel.sourceVip %s is of no effect', (sourceVip) => {
  const sparse = fillDefaults({ ...V4, ...{ winkernel: { sourceVip } } });
  const settings = resolveProxySettings(sparse, (path) => path.join('.'));
  expect(findDoubts(settings).filter((doubt) => doubt.includes('winkernel'))).toEqual([]);
});
