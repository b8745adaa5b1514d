import type { Cidr } from '../net/cidr.ts';
import type { PlannedPeer } from './plan.ts';

/** How the fabric is, for those who wait for it and for people. */
export interface FabricReport {
  /** Every peer's pods are led to, as far as that is possible, and this node has podCIDRs. */
  readonly isReady: boolean;
  /** Why it is not ready, with the cure; empty when it is. */
  readonly reason: string;
  /** This node's, that it may use. */
  readonly podCIDRs: readonly Cidr[];
  /** For pods; undefined while no link has the node's address. */
  readonly mtu: number | undefined;
  readonly peers: readonly PlannedPeer[];
  /** What is wrong, in words; some of it may leave the fabric ready. */
  readonly problems: readonly string[];
  /** Routes, neighbours and forwarding entries there are. */
  readonly entries: number;
  /** Changes of entries since the start. */
  readonly writes: number;
  /** Of these, what somebody else had changed and what was put right. */
  readonly repairs: number;
  /** Milliseconds since the epoch of the last time that everything was as it ought to be. */
  readonly settledAtMs: number | undefined;
}

export const NOTHING_YET: FabricReport = {
  isReady: false,
  reason: 'Nodes were not read yet',
  podCIDRs: [],
  mtu: undefined,
  peers: [],
  problems: [],
  entries: 0,
  writes: 0,
  repairs: 0,
  settledAtMs: undefined,
};
