import type { IP, IPFamily } from '../net/ip.ts';
import type { Frontend } from './claims.ts';
import type { ResolvedPort } from './state.ts';

/** Which local addresses accept NodePorts: these, or every one but loopback. */
export type NodePortIPs = readonly IP[] | 'anyLocal';

/** A frontend that rules of an earlier agent served. */
export interface FormerFrontend {
  readonly frontend: Frontend;
  /** `ip port` of its endpoints. */
  readonly endpoints: ReadonlySet<string>;
}

export interface Commit {
  /** What was told since the last commit is all there is: whatever was not told is gone. */
  readonly isFull: boolean;
  readonly nodePortIPs: NodePortIPs;
  /** Found in the kernel by a first commit, at least those that no Service wants any more; UDP only. */
  readonly former?: readonly FormerFrontend[];
}

/** Learns what reaches the kernel, and when. It must return quickly: a sync waits for it. */
export interface CommitListener {
  /**
   * A Service is about to be programmed with these ports; with none it is gone. After a failure it
   * is told again before the commit that succeeds.
   */
  programming(family: IPFamily, service: string, ports: readonly ResolvedPort[]): void;
  /** Everything told so far is in the kernel. */
  committed(family: IPFamily, commit: Commit): void;
}
