import { afterEach, beforeEach, expect, test } from 'vitest';
import { netnses } from '../../src/kernel/netns.ts';
import type { Netns } from '../../src/kernel/types.ts';
import type { Service } from '../../src/kube/types.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import { proxyTable } from '../../src/proxy/modes/nftables/layout.ts';
import type { ServiceProxy } from '../../src/proxy/service-proxy.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { createProxy } from '../support/proxy-lab.ts';
import { service, slice } from '../support/proxy-objects.ts';

type Feature = (n: number) => {
  readonly spec?: Partial<Service['spec']>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly hasEndpoints?: boolean;
};

const COUNTS = [1, 100, 5000];
/** Each of its Services has hundreds of slots. */
const SOURCE_HASH_COUNTS = [1, 20, 400];
const nodePort = (n: number) =>
  [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 10_000 + n }] as const;
const address = (net: string, n: number) => `${net}.${n >> 8}.${n & 255}`;
const affinity = {
  sessionAffinity: 'ClientIP',
  sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
} as const;

const features: Readonly<Record<string, Feature>> = {
  clusterIP: () => ({}),
  'no endpoints': () => ({ hasEndpoints: false }),
  NodePort: (n) => ({ spec: { type: 'NodePort', ports: nodePort(n) } }),
  'externalTrafficPolicy: Local': (n) => ({
    spec: { type: 'NodePort', externalTrafficPolicy: 'Local', ports: nodePort(n) },
  }),
  'internalTrafficPolicy: Local': () => ({ spec: { internalTrafficPolicy: 'Local' } }),
  externalIPs: (n) => ({ spec: { externalIPs: [address('198.18', n)] } }),
  loadBalancerSourceRanges: () => ({
    spec: { type: 'LoadBalancer', loadBalancerSourceRanges: ['203.0.113.0/24', '192.0.2.0/24'] },
  }),
  'session affinity': () => ({ spec: affinity }),
  'session affinity of NodePorts': (n) => ({
    spec: { type: 'NodePort', ports: nodePort(n), ...affinity },
  }),
  weights: () => ({ annotations: { 'weft.dev/weights': '10.0.0.1=3' } }),
  'source-hash': () => ({ annotations: { 'weft.dev/balance': 'source-hash' } }),
};
const everything: Feature = (n) => {
  const all = Object.values(features);
  return all[n % all.length]?.(n) ?? {};
};

let node: TestNetns;
let netns: Netns;
let proxy: ServiceProxy;

beforeEach(() => {
  node = createNetns('growth');
  netns = netnses.open(node.path);
  proxy = createProxy(netns, { families: [4] });
  proxy.setSynced();
});

afterEach(async () => {
  await proxy.stop();
  netns.close();
  node.remove();
});

/** Services from the number `from` up to `to`, without the latter. */
async function grow(feature: Feature, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) {
    const { spec, annotations, hasEndpoints = true } = feature(n);
    proxy.apply({
      kind: 'service',
      now: {
        ...service(`s${n}`, address('172.30', n), spec, annotations),
        status: { loadBalancer: { ingress: [{ ip: address('198.19', n) }] } },
      },
    });
    if (!hasEndpoints) continue;
    const endpoints = [{ ip: '10.0.0.1', nodeName: 'node-a' }, '10.0.0.2'];
    proxy.apply({ kind: 'slice', now: slice({ service: `s${n}`, endpoints }) });
  }
  await proxy.sync();
}

/** Asked without elements, which nft would read even for a listing without them. */
function structure(): Readonly<Record<string, number>> {
  const connection = NftablesConnection.open({ netns });
  try {
    const table = proxyTable(4);
    const chains = connection.chains(table);
    return {
      chains: chains.length,
      rules: chains.reduce((sum, { name }) => sum + connection.rules(table, name).length, 0),
      sets: connection.sets(table).length,
    };
  } finally {
    connection.close();
  }
}

async function structures(feature: Feature, counts: readonly number[]): Promise<readonly object[]> {
  const found: object[] = [];
  let have = 0;
  for (const count of counts) {
    await grow(feature, have, count);
    have = count;
    found.push(structure());
  }
  return found;
}

test.each(Object.entries(features))(
  'chains, rules and sets do not depend on the number of Services: %s',
  async (name, feature) => {
    const counts = name === 'source-hash' ? SOURCE_HASH_COUNTS : COUNTS;
    const [first, ...others] = await structures(feature, counts);
    expect(others).toEqual(others.map(() => first));
  },
);

test('nor with everything at once', async () => {
  const each = Object.keys(features).length;
  const [first, ...others] = await structures(everything, [each, 10 * each, 200 * each]);
  expect(others).toEqual(others.map(() => first));
  const elements = node.run('nft', 'list', 'set', 'ip', 'weft-proxy', 'cluster-ips');
  expect(elements.match(/172\.30\./g)).toHaveLength(200 * each);
});
