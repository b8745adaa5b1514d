/** What policies there are, whom they select, and what they let through: for people. */
import type { ClusterAction, Direction } from '../kube/policy/types.ts';
import type { CompiledPolicy } from './compiled-policy.ts';
import type { Evaluator } from './evaluator.ts';
import type { PodParty } from './parties.ts';
import { ruleWords } from './rule-text.ts';

export interface PolicyOverview {
  /** `namespace/name` of a NetworkPolicy, the name of a ClusterNetworkPolicy. */
  readonly policy: string;
  readonly tier: CompiledPolicy['tier'];
  /** Of a ClusterNetworkPolicy. */
  readonly priority?: number;
  /** Directions with rules, or that are isolated. */
  readonly directions: readonly Direction[];
  /** Those of the pods in question that it selects. */
  readonly pods: readonly string[];
  /** What of it is not supported and fails closed. */
  readonly problems: readonly string[];
}

/** A rule that is asked about traffic of a pod. */
export interface RuleOverview {
  readonly policy: string;
  readonly tier: CompiledPolicy['tier'];
  readonly priority?: number;
  /** Counts from 0. */
  readonly rule: number;
  readonly name?: string;
  readonly action: ClusterAction;
  /** `TCP 80 from pods app=web in namespace shop` */
  readonly traffic: string;
}

export interface DirectionOverview {
  /** NetworkPolicies that isolate the pod: what none of their rules allows is denied. */
  readonly isolatedBy: readonly string[];
  /** In the order in which they decide; those of NetworkPolicies add up. */
  readonly rules: readonly RuleOverview[];
}

export interface PodOverview {
  readonly pod: string;
  readonly ips: readonly string[];
  readonly node?: string;
  readonly ingress: DirectionOverview;
  readonly egress: DirectionOverview;
}

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

/** All policies, with those of `pods` that each selects. */
export function overviewOfPolicies(
  evaluator: Evaluator,
  pods: readonly PodParty[],
): readonly PolicyOverview[] {
  return evaluator.policies().map((policy) => ({
    ...identity(policy),
    directions: DIRECTIONS.filter((direction) => isConcerned(policy, direction)),
    pods: pods.filter(policy.isSubject).map(({ key }) => key),
    problems: policy.problems,
  }));
}

/** What policies say about one pod. */
export function overviewOfPod(evaluator: Evaluator, pod: PodParty): PodOverview {
  const policies = evaluator.selecting(pod);
  return {
    pod: pod.key,
    ips: pod.ips,
    ...(pod.nodeName === undefined ? {} : { node: pod.nodeName }),
    ingress: overviewOfDirection(policies, 'ingress'),
    egress: overviewOfDirection(policies, 'egress'),
  };
}

function overviewOfDirection(
  policies: readonly CompiledPolicy[],
  direction: Direction,
): DirectionOverview {
  const isolating = policies.filter(
    ({ tier, rules }) => tier === 'NetworkPolicy' && rules[direction] !== undefined,
  );
  return {
    isolatedBy: isolating.map(({ key }) => key),
    rules: policies.flatMap((policy) => rulesOf(policy, direction)),
  };
}

function rulesOf(policy: CompiledPolicy, direction: Direction): readonly RuleOverview[] {
  return (policy.rules[direction] ?? []).map(({ action, name }, rule) => ({
    ...identity(policy),
    rule,
    ...(name === undefined ? {} : { name }),
    action,
    traffic: ruleWords(policy.source, direction, rule),
  }));
}

function identity({ key, tier, source }: CompiledPolicy) {
  return { policy: key, tier, ...('priority' in source ? { priority: source.priority } : {}) };
}

/** A NetworkPolicy without rules still isolates. */
function isConcerned({ tier, rules }: CompiledPolicy, direction: Direction): boolean {
  const own = rules[direction];
  return own !== undefined && (tier === 'NetworkPolicy' || own.length > 0);
}
