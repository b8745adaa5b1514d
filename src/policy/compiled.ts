/** Policies with their selectors turned into predicates, in the order in which they decide. */
import type {
  ClusterAction,
  ClusterNetworkPolicy,
  ClusterRule,
  Direction,
  NetworkPolicy,
  NetworkPolicyRule,
} from '../kube/policy/types.ts';
import { objectKey } from '../kube/resources.ts';
import type { PodParty } from './parties.ts';
import { clusterPeers, podSelection, policyPeers, type RulePeers } from './peers.ts';
import { clusterPorts, policyPorts, type RulePorts } from './ports.ts';
import { labelMatcher } from './selectors.ts';

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
  /** A direction that is not there is none of the policy's business. */
  readonly rules: Readonly<Partial<Record<Direction, readonly CompiledRule[]>>>;
  /** What of it is not known here and therefore fails closed. */
  readonly problems: readonly string[];
}

export function compileNetworkPolicy(policy: NetworkPolicy): CompiledPolicy {
  const { namespace } = policy.metadata;
  const isSelected = labelMatcher(policy.podSelector);
  const compile = (rules: readonly NetworkPolicyRule[] | undefined) =>
    rules?.map(({ peers, ports }) => ({
      action: 'Accept' as const,
      name: undefined,
      peers: policyPeers(peers, namespace),
      ports: policyPorts(ports),
    }));
  const ingress = compile(policy.rules.ingress);
  const egress = compile(policy.rules.egress);
  return {
    key: objectKey(policy),
    tier: 'NetworkPolicy',
    source: policy,
    isSubject: (pod) => pod.namespace === namespace && isSelected(pod.labels),
    rules: { ...(ingress && { ingress }), ...(egress && { egress }) },
    problems: [],
  };
}

export function compileClusterPolicy(policy: ClusterNetworkPolicy): CompiledPolicy {
  const { tier, subject } = policy;
  const problems: string[] = [];
  if (subject.kind === 'unknown') problems.push(`subject: ${subject.what} is not known`);
  const compile = (direction: Direction) =>
    policy.rules[direction].map((rule, index) => {
      const compiled = compileClusterRule(rule);
      for (const what of unknowns(rule)) {
        problems.push(`${direction}[${index}]: ${what} is not supported, the rule fails closed`);
      }
      return compiled;
    });
  const rules = { ingress: compile('ingress'), egress: compile('egress') };
  return {
    key: objectKey(policy),
    tier,
    source: policy,
    // A subject that cannot be read must not open anything, and cannot say whom to close.
    isSubject: subject.kind === 'unknown' ? () => false : podSelection(subject),
    rules,
    problems,
  };
}

/** As the API demands of a rule with a peer or protocol it does not know (ClusterNetworkPolicyIngressPeer). */
function compileClusterRule(rule: ClusterRule): CompiledRule {
  const { action, name } = rule;
  const peers = clusterPeers(rule.peers);
  const ports = clusterPorts(rule.protocols);
  if (peers !== undefined && ports !== undefined) return { action, name, peers, ports };
  if (action === 'Accept') return { action, name, peers: [], ports: [] };
  return { action: 'Deny', name, peers: 'everybody', ports: 'everything' };
}

function unknowns({ peers, protocols }: ClusterRule): readonly string[] {
  return [...peers, ...protocols].flatMap((entry) => (entry.kind === 'unknown' ? entry.what : []));
}

/** By priority; equal ones by name, so that every node decides alike. */
export function inOrder(policies: Iterable<ClusterNetworkPolicy>): readonly CompiledPolicy[] {
  const byName = (a: ClusterNetworkPolicy, b: ClusterNetworkPolicy) =>
    a.metadata.name < b.metadata.name ? -1 : 1;
  return [...policies]
    .sort((a, b) => a.priority - b.priority || byName(a, b))
    .map(compileClusterPolicy);
}
