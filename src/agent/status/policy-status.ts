import type { PolicyStatus } from './values.ts';

/** Everything that is told of the enforcement; `reason` is empty while policies hold. */
export interface PolicyFigures extends Omit<PolicyStatus, 'isReady' | 'lastCommitMs'> {
  /** Undefined before the first. */
  readonly lastCommitMs: number | undefined;
}

/** What `weft status` tells of policies. */
export function policyStatus({ reason, lastCommitMs, ...figures }: PolicyFigures): PolicyStatus {
  return {
    ...{ isReady: reason === '', reason, ...figures },
    ...(lastCommitMs === undefined ? {} : { lastCommitMs }),
  };
}
