import type { PolicyStatus } from '../debug/status.ts';

/** Everything that is told of the enforcement. */
export interface PolicyFigures {
  /** Why policies do not hold on this node; empty while they do. */
  readonly reason: string;
  readonly policies: { readonly network: number; readonly cluster: number };
  /** Pods of this node on record. */
  readonly localPods: number;
  /** Addresses that policies select. */
  readonly subjects: number;
  readonly readsAllPods: boolean;
  readonly elements: number;
  readonly generation: number;
  /** Undefined before the first. */
  readonly lastCommitMs: number | undefined;
  readonly repairs: number;
  /** Calls of the CNI that wait now. */
  readonly waiting: number;
  readonly problems: readonly string[];
}

/** What `weft status` tells of policies. */
export function policyStatus({ reason, lastCommitMs, ...figures }: PolicyFigures): PolicyStatus {
  return {
    ...{ isReady: reason === '', reason, ...figures },
    ...(lastCommitMs === undefined ? {} : { lastCommitMs }),
  };
}
