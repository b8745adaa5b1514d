import type { Cidr } from '../net/cidr.ts';
import type { IP } from '../net/ip.ts';
import type { NodeSelector } from './node-selector.ts';

/** What a node tells others by BGP. */
export type Advertised = 'podCIDRs' | 'clusterIPs' | 'externalIPs' | 'loadBalancerIPs';

/** Who of the cluster's nodes talk to each other: nobody, all of them, or all with the reflectors. */
export type Topology = 'none' | 'mesh' | 'reflectors';

/** A community (RFC 1997) as two numbers or a large one (RFC 8092) as three. */
export type Community = readonly [number, number] | readonly [number, number, number];

/** Routes that may come from a neighbour: a network, and how long prefixes in it may be. */
export interface ImportedNetwork {
  readonly network: Cidr;
  readonly longest: number;
}

/** A router outside of the cluster that nodes talk to. */
export interface PeerSettings {
  readonly name: string;
  /** Which nodes do. */
  readonly nodes: NodeSelector;
  readonly address: IP;
  readonly asn: number;
  /** What this node says it is to that neighbour; absent: its own. */
  readonly localASN?: number;
  /** For TCP MD5 (RFC 2385). */
  readonly passwordFile?: string;
  /** Routers in between plus one; absent: the neighbour is on a link of the node. */
  readonly multihop?: number;
  readonly bfd: boolean;
  readonly imports: readonly ImportedNetwork[];
  readonly communities: readonly Community[];
}

export interface BgpSettings {
  /** Of nodes whose Node object does not say another. */
  readonly asn: number;
  readonly topology: Topology;
  /** The nodes that reflect routes. */
  readonly reflectors: NodeSelector;
  readonly advertise: ReadonlySet<Advertised>;
  /** On every route of ours. */
  readonly communities: readonly Community[];
  /** Between nodes: loss is seen in a second. Without it routes outlive a restart of BIRD. */
  readonly bfd: boolean;
  readonly peers: readonly PeerSettings[];
}
