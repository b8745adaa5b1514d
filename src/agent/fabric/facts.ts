/** What the fabric tells the rest of the agent. */
import type { Cidr } from '../../net/cidr.ts';

export interface FabricFacts {
  /** Every peer that is known has its routes, links and rules in the kernel. */
  readonly isReady: boolean;
  /** Why not, in words; empty when it is. */
  readonly reason: string;
  /** Of this node's Node; none while it has none. */
  readonly podCIDRs: readonly Cidr[];
  /** Bytes, for the interfaces of pods. */
  readonly mtu: number;
}

/** The source of FabricFacts. */
export interface FabricReadiness {
  /** Tells the facts of now at once, and whenever they change. */
  follow(listener: (facts: FabricFacts) => void): void;
}
