import type { Cidr } from '../../net/cidr.ts';
import type { IP, IPFamily } from '../../net/ip.ts';

/** What the table is made of. */
export interface FabricTableFacts {
  /**
   * There may be more: what the table has besides stays. So a peer is let in before anything is sent to
   * it and until nothing is, and is not shut out because it is not known yet. Absent: this is all.
   */
  readonly isPartial?: boolean;
  /**
   * The port that carries the tunnel, who may send to it, and to which addresses of this node; undefined
   * without a tunnel.
   */
  readonly tunnel:
    | { readonly port: number; readonly peers: readonly IP[]; readonly own: readonly IP[] }
    | undefined;
  /** UDP port of the probes of paths; absent where nobody of ours listens. */
  readonly probePort?: number | undefined;
  /** This node's. */
  readonly podCIDRs: readonly Cidr[];
  /**
   * Names of the links by which this node's pods send (see podLinks): what comes in there is a pod's,
   * whatever its source address says. Absent: pods are known by their addresses alone.
   */
  readonly podLinks?: readonly string[];
  /**
   * Undefined: nobody is masqueraded. `direct` are the destinations that see a pod's own address,
   * multicast ones not among them, which always do.
   */
  readonly masquerade:
    | { readonly direct: readonly Cidr[]; readonly families: readonly IPFamily[] }
    | undefined;
}
