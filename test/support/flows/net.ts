/** The address plan of the flow table and its lab, once per address family. */

export interface Net {
  readonly family: 4 | 6;
  readonly vip: (n: number) => string;
  /** Load balancer addresses, which the outside routes to the node. */
  readonly lb: (n: number) => string;
  /** Addresses that the outside routes to the node and no load balancer gave. */
  readonly external: (n: number) => string;
  /** A load balancer that forwards by itself has this one; the other node answers there. */
  readonly elsewhere: string;
  readonly serviceCIDR: string;
  readonly clusterCIDR: string;
  readonly podA: string;
  readonly podB: string;
  readonly remote: string;
  readonly client: string;
  /** The node's addresses towards its pods, the other node (two) and the outside. */
  readonly bridge: string;
  readonly node: string;
  readonly second: string;
  readonly outer: string;
  readonly outside: string;
  /** Another host outside. */
  readonly stranger: string;
  readonly loopback: string;
}

export const IPV4: Net = {
  family: 4,
  vip: (n) => `172.30.0.${n}`,
  lb: (n) => `198.51.100.${n}`,
  external: (n) => `198.51.100.${100 + n}`,
  elsewhere: '192.0.2.1',
  serviceCIDR: '172.30.0.0/16',
  clusterCIDR: '10.0.0.0/8',
  podA: '10.1.0.3',
  podB: '10.1.0.4',
  remote: '10.2.0.2',
  client: '10.1.0.2',
  bridge: '10.1.0.1',
  node: '192.168.0.1',
  second: '192.168.0.9',
  outer: '203.0.113.1',
  outside: '203.0.113.2',
  stranger: '203.0.113.3',
  loopback: '127.0.0.1',
};

export const IPV6: Net = {
  family: 6,
  vip: (n) => `fd00:172::${n}`,
  lb: (n) => `2001:db8:1::${n}`,
  external: (n) => `2001:db8:1::${100 + n}`,
  elsewhere: '2001:db8:2::1',
  serviceCIDR: 'fd00:172::/112',
  clusterCIDR: 'fd00:10::/32',
  podA: 'fd00:10:1::3',
  podB: 'fd00:10:1::4',
  remote: 'fd00:10:2::2',
  client: 'fd00:10:1::2',
  bridge: 'fd00:10:1::1',
  node: 'fd00:192::1',
  second: 'fd00:192::9',
  outer: '2001:db8::1',
  outside: '2001:db8::2',
  stranger: '2001:db8::3',
  loopback: '::1',
};

/** The load balancer address that the node itself has, too. */
export const LB_ON_NODE = 2;
