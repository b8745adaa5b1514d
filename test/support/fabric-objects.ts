/** Nodes and links for tests of the fabric. */
import { type FabricNode, readFabricNode } from '../../src/fabric/nodes.ts';
import type { UnderlayFacts } from '../../src/fabric/underlay.ts';
import type { Link, LinkAddress, Route } from '../../src/kernel/types.ts';
import type { Node } from '../../src/kube/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';

/** `node('n2', ['10.244.2.0/24'], ['192.0.2.2'])`. */
export function node(
  name: string,
  podCIDRs: readonly string[],
  addresses: readonly string[],
  metadata: Partial<Node['metadata']> = {},
): Node {
  return {
    metadata: { name, namespace: '', uid: `uid-${name}`, ...metadata },
    spec: { podCIDRs },
    status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
  };
}

export function fabricNode(...words: Parameters<typeof node>): FabricNode {
  return readFabricNode(node(...words));
}

/** A link that is up. */
export function link(index: number, name: string, more: Partial<Link> = {}): Link {
  return {
    ...{ index, name, kind: undefined, mac: undefined, mtu: 1500, isUp: true, operState: 'up' },
    ...{ isPromiscuous: false, master: undefined, peerIndex: undefined, alias: undefined },
    ...more,
  };
}

/** `route('10.0.0.0/8', 2, '192.0.2.254')` of table main. */
export function route(
  destination: string,
  linkIndex: number,
  gateway?: string,
  more: Partial<Route> = {},
): Route {
  return {
    ...{ destination: parseCidr(destination), link: linkIndex, table: 254, protocol: 2 },
    ...(gateway === undefined ? {} : { gateway: parseIP(gateway) }),
    ...more,
  };
}

/** `eth0` (2) on 192.0.2.0/24 and 2001:db8::/64, whose router is the way to everything else. */
export function underlayFacts(more: Partial<UnderlayFacts> = {}): UnderlayFacts {
  return {
    links: [link(1, 'lo'), link(2, 'eth0')],
    addresses: [linkAddress(2, '192.0.2.1', 24), linkAddress(2, '2001:db8::1', 64)],
    routes: [
      route('192.0.2.0/24', 2),
      route('0.0.0.0/0', 2, '192.0.2.254'),
      route('2001:db8::/64', 2),
      route('::/0', 2, '2001:db8::fe'),
    ],
    ...more,
  };
}

function linkAddress(index: number, address: string, prefixLength: number) {
  const of: LinkAddress = { address: parseIP(address), prefixLength };
  return { ...of, link: index };
}
