import type { Cidr } from '../net/cidr.ts';
import type { FabricSettings, Neighbourhood } from './desired.ts';
import type { Plan, PlannedPeer } from './plan.ts';
import { rivalProblems } from './rivals.ts';
import { podMtu } from './tunnel.ts';
import type { UnderlayFacts } from './underlay.ts';

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
  /** What people may want to know, and nobody has to put right. */
  readonly notices: readonly string[];
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
  notices: [],
  entries: 0,
  writes: 0,
  repairs: 0,
  settledAtMs: undefined,
};

/** What a run has found. */
export interface Found {
  readonly hood: Neighbourhood;
  readonly plan: Plan | undefined;
  /** Why it is not ready; empty when it is. */
  readonly why: string;
  readonly failures: readonly string[];
  readonly notices: readonly string[];
}

type Counts = Pick<FabricReport, 'entries' | 'writes' | 'repairs' | 'settledAtMs'>;

export function reportOf(
  { hood, plan, why, failures, notices }: Found,
  settings: FabricSettings,
  facts: UnderlayFacts | undefined,
  counts: Counts,
): FabricReport {
  const peers = plan?.peers ?? [];
  return {
    isReady: why === '',
    reason: why,
    podCIDRs: hood.podCIDRs,
    mtu: podMtu(settings.backend, hood.underlay, settings),
    peers,
    problems: [
      ...failures,
      ...hood.problems,
      ...peers.flatMap(({ name, problems }) => problems.map((each) => `node ${name}: ${each}`)),
      ...(facts === undefined ? [] : rivalProblems(peers, facts)),
    ],
    notices,
    ...counts,
  };
}
