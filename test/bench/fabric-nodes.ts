/** Nodes of large clusters. */
import type { FabricSettings } from '../../src/fabric/desired.ts';
import type { Node } from '../../src/kube/types.ts';

export const BENCH_NODE = 'node-0';
export const BENCH_SETTINGS: FabricSettings = {
  ...{ backend: 'auto', tunnelPort: 8472, vni: 201, mtu: 0, clusterCIDRs: [], serviceCIDRs: [] },
};
/** The nodes' network; each has a network behind a router of its own. */
export const OWN_ADDRESSES = ['192.0.2.1/24', '2001:db8::1/64'] as const;

/** Node `n` of up to 16384: behind a router but for number 0, which is the node that is measured. */
export function benchNode(n: number, generation = 0): Node {
  const [high, low] = [n >> 8, n & 255];
  const hex = n.toString(16);
  const addresses =
    n === 0
      ? OWN_ADDRESSES.map((text) => text.split('/')[0] ?? '')
      : [`10.${10 + high + 64 * generation}.${low}.2`, `2001:db8:1:${hex}::${2 + generation}`];
  return {
    metadata: { name: `node-${n}`, namespace: '', uid: `uid-${n}` },
    spec: { podCIDRs: [`10.${128 + high}.${low}.0/24`, `fd00:10:${hex}::/64`] },
    status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
  };
}

/** The node itself and so many peers. */
export function* benchNodes(peers: number): Generator<Node> {
  for (let n = 0; n <= peers; n++) yield benchNode(n);
}

/** Node `n` of up to 100 on the link of the node that is measured. */
export function nearNode(n: number): Node {
  const addresses = [`192.0.2.${100 + n}`, `2001:db8::${100 + n}`];
  return {
    metadata: { name: `near-${n}`, namespace: '', uid: `uid-near-${n}` },
    spec: { podCIDRs: [`10.120.${n}.0/24`, `fd00:20:${n}::/64`] },
    status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
  };
}
