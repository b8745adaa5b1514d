/** Policies with their selectors turned into predicates, in the order in which they decide. */
import type {
  ClusterNetworkPolicy,
  ClusterRule,
  Direction,
  LabelSelector,
  NetworkPolicy,
  NetworkPolicyRule,
} from '../kube/policy/types.ts';
import { objectKey } from '../kube/resources.ts';
import { withinBudget } from './budget.ts';
import type { CompiledPolicy, CompiledRule } from './compiled-policy.ts';
import { clusterPeers, podSelection, policyPeers } from './peers.ts';
import { clusterPorts, policyPorts } from './ports.ts';
import { labelMatcher } from './selectors.ts';

const known = new WeakMap<CompiledPolicy['source'], CompiledPolicy>();

/** The same value for the same object. */
export function compileNetworkPolicy(policy: NetworkPolicy): CompiledPolicy {
  const compiled = known.get(policy) ?? computeNetworkPolicy(policy);
  known.set(policy, compiled);
  return compiled;
}

export function compileClusterPolicy(policy: ClusterNetworkPolicy): CompiledPolicy {
  const compiled = known.get(policy) ?? computeClusterPolicy(policy);
  known.set(policy, compiled);
  return compiled;
}

function computeNetworkPolicy(policy: NetworkPolicy): CompiledPolicy {
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
  return withinBudget({
    key: objectKey(policy),
    tier: 'NetworkPolicy',
    source: policy,
    isSubject: (pod) => pod.namespace === namespace && isSelected(pod.labels),
    isOfAll: false,
    rules: { ...(ingress && { ingress }), ...(egress && { egress }) },
    problems: unreadableProblems(policy),
    isOverBudget: false,
  });
}

function computeClusterPolicy(policy: ClusterNetworkPolicy): CompiledPolicy {
  const { tier, subject } = policy;
  const problems: string[] = [...unreadableProblems(policy)];
  if (subject.kind === 'unknown') problems.push(`subject: ${subject.what} is not known`);
  const compile = (direction: Direction) =>
    policy.rules[direction].map((rule, index) => {
      const compiled = compileClusterRule(rule);
      for (const what of policy.unreadable?.isClosed === true ? [] : unknowns(rule)) {
        problems.push(`${direction}[${index}]: ${what} is not supported, the rule fails closed`);
      }
      return compiled;
    });
  const rules = { ingress: compile('ingress'), egress: compile('egress') };
  return withinBudget({
    key: objectKey(policy),
    tier,
    source: policy,
    // A subject that cannot be read must not open anything, and cannot say whom to close.
    isSubject: subject.kind === 'unknown' ? () => false : podSelection(subject),
    isOfAll: isOfAll(subject),
    rules,
    problems,
    isOverBudget: false,
  });
}

function isOfAll(subject: ClusterNetworkPolicy['subject']): boolean {
  const isEmpty = ({ matchLabels, matchExpressions }: LabelSelector) =>
    Object.keys(matchLabels).length + matchExpressions.length === 0;
  if (subject.kind === 'namespaces') return isEmpty(subject.selector);
  if (subject.kind !== 'pods') return false;
  return isEmpty(subject.pods.namespaceSelector) && isEmpty(subject.pods.podSelector);
}

function unreadableProblems({ unreadable }: NetworkPolicy | ClusterNetworkPolicy): string[] {
  return unreadable === undefined ? [] : [unreadable.problem];
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
