/**
 * Who may talk to a pod is in the kernel before its ADD goes on to its interface: no packet of it passes
 * by the rules of nobody. Only an agent knows policies; see src/agent/policy/admission.ts.
 */
import type { IP } from '../net/ip.ts';
import type { PodIdentity } from './attachment-records.ts';

export interface PodPolicies {
  /**
   * Once it returns, the policies that select the pod hold for its addresses, which are on record.
   * Throws CniError 11 where they cannot be programmed yet.
   */
  admit(pod: PodIdentity, addresses: readonly IP[]): void;
  /** Throws what is wrong with the policies of a pod that is there; changes nothing. */
  check(pod: PodIdentity): void;
}
