/** Every check there is, in the order in which people read them. */
import { type Subject, subjectOf } from './check.ts';
import { CONNTRACK_CHECKS } from './conntrack.ts';
import { CounterDeltas } from './counter-deltas.ts';
import { readConntrackFacts } from './facts/conntrack.ts';
import { readLimitFacts } from './facts/limits.ts';
import { readSysctlFacts } from './facts/node-sysctls.ts';
import { LIMIT_CHECKS } from './limits.ts';
import { SYSCTL_CHECKS } from './node-sysctls.ts';

/** They remember counters of the kernel from one look to the next. */
export function openSubjects(): readonly Subject[] {
  const deltas = new CounterDeltas();
  return [
    subjectOf(SYSCTL_CHECKS, readSysctlFacts),
    subjectOf(CONNTRACK_CHECKS, (node) => readConntrackFacts(node, deltas)),
    subjectOf(LIMIT_CHECKS, readLimitFacts),
  ];
}
