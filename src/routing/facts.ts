import type { Cidr } from '../net/cidr.ts';
import type { IP, IPFamily } from '../net/ip.ts';
import type { Labels } from './node-selector.ts';
import type { Advertised } from './settings.ts';

/** A node of the cluster, as its Node object tells. */
export interface RoutedNode {
  readonly name: string;
  readonly labels: Labels;
  /** InternalIPs, at most one of each family. */
  readonly addresses: readonly IP[];
  readonly podCIDRs: readonly Cidr[];
  /** Of its annotation; absent: that of the cluster. */
  readonly asn?: number;
}

/** An address of Services, and what of them decides whether this node tells of it. */
export interface ServiceAddress {
  readonly ip: IP;
  readonly kind: Exclude<Advertised, 'podCIDRs'>;
  /** `namespace/name`, in order. */
  readonly services: readonly string[];
  /** Some endpoint that is ready serves it; under a Local policy one of this node. */
  readonly isServed: boolean;
  /** Only endpoints of this node count. */
  readonly isLocal: boolean;
  /** Some endpoint of any node serves it. */
  readonly isServedSomewhere: boolean;
  /** Under a Local policy the nodes with endpoints that are ready; absent: every node can take it. */
  readonly nodes?: readonly string[];
}

/** What a configuration of BIRD is made from. */
export interface RoutingFacts {
  readonly nodeName: string;
  /** Every node, this one too. */
  readonly nodes: readonly RoutedNode[];
  /** Networks of this node's links. */
  readonly linkNetworks: readonly Cidr[];
  /** Families that the kernel of this node has. */
  readonly families: readonly IPFamily[];
  readonly services: readonly ServiceAddress[];
  /** Of neighbours by name; a missing one is why there is no session. */
  readonly passwords: ReadonlyMap<string, string>;
}
