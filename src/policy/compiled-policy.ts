import type {
  ClusterAction,
  ClusterNetworkPolicy,
  Direction,
  NetworkPolicy,
} from '../kube/policy/types.ts';
import type { PodParty } from './parties.ts';
import type { RulePeers } from './peers.ts';
import type { RulePorts } from './ports.ts';

export interface CompiledRule {
  readonly action: ClusterAction;
  /** The rule's own name, if it has one. */
  readonly name: string | undefined;
  readonly peers: RulePeers;
  readonly ports: RulePorts;
}

export interface CompiledPolicy {
  /** `namespace/name` of a NetworkPolicy, the name of a ClusterNetworkPolicy. */
  readonly key: string;
  readonly tier: 'Admin' | 'NetworkPolicy' | 'Baseline';
  /** As it was written, for those who tell of it. */
  readonly source: NetworkPolicy | ClusterNetworkPolicy;
  readonly isSubject: (pod: PodParty) => boolean;
  /** Whether it selects every pod of the cluster, whatever its labels. */
  readonly isOfAll: boolean;
  /** A direction that is not there is none of the policy's business. */
  readonly rules: Readonly<Partial<Record<Direction, readonly CompiledRule[]>>>;
  /** What of it is not known here and therefore fails closed. */
  readonly problems: readonly string[];
  /** It costs more than there is for it; then it is closed in some direction. */
  readonly isOverBudget: boolean;
}
