import type { ClusterNetworkPolicy, Direction, NetworkPolicy } from '../kube/policy/types.ts';
import type { IPFamily } from '../net/ip.ts';
import { policyId, withoutRoom } from './budget.ts';
import { compileNetworkPolicy, inOrder } from './compiled.ts';
import type { CompiledPolicy, CompiledRule } from './compiled-policy.ts';
import type { Party, PodParty } from './parties.ts';
import { isPeerOf } from './peers.ts';
import { isPortOf, type Traffic } from './ports.ts';

/** A connection before its first packet, its destination as it is after any Service's DNAT. */
export interface Connection extends Traffic {
  readonly from: Party;
  readonly to: Party;
  readonly family: IPFamily;
}

/** Which rule decided; `rule` counts from 0. */
export interface DecidingRule {
  readonly tier: CompiledPolicy['tier'];
  readonly policy: string;
  readonly rule: number;
  readonly ruleName: string | undefined;
}

/** Why one side lets a connection pass or not. */
export type Finding =
  /** No pod of the cluster is on this side, so no policy looks. */
  | { readonly kind: 'no-subject'; readonly isAllowed: true }
  | { readonly kind: 'same-pod'; readonly isAllowed: true }
  /** As NetworkPolicy says; its packets are not forwarded. */
  | { readonly kind: 'own-node'; readonly isAllowed: true }
  | { readonly kind: 'rule'; readonly isAllowed: boolean; readonly by: DecidingRule }
  /** Policies select the pod and none of their rules allows the connection. */
  | { readonly kind: 'isolated'; readonly isAllowed: false; readonly policies: readonly string[] }
  | { readonly kind: 'no-policy'; readonly isAllowed: true };

export interface Verdict {
  readonly isAllowed: boolean;
  /** Of the source's side. */
  readonly egress: Finding;
  /** Of the destination's side. */
  readonly ingress: Finding;
}

export interface PolicyObjects {
  readonly networkPolicies: Iterable<NetworkPolicy>;
  readonly clusterNetworkPolicies: Iterable<ClusterNetworkPolicy>;
  /** Those that a node has no room for, by policyId. */
  readonly closed?: ReadonlySet<string>;
}

type Selected = Readonly<Record<CompiledPolicy['tier'], readonly CompiledPolicy[]>>;

const NO_SUBJECT: Finding = { kind: 'no-subject', isAllowed: true };
const SAME_POD: Finding = { kind: 'same-pod', isAllowed: true };
const OWN_NODE: Finding = { kind: 'own-node', isAllowed: true };
const NO_POLICY: Finding = { kind: 'no-policy', isAllowed: true };

/**
 * Decides on connections by the policies of one moment: networking.k8s.io/v1 NetworkPolicy and
 * policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy. Pure; the one place that knows what
 * policies mean.
 */
export class Evaluator {
  readonly #byNamespace: ReadonlyMap<string, readonly CompiledPolicy[]>;
  readonly #cluster: readonly CompiledPolicy[];
  readonly #selected = new Map<PodParty, Selected>();

  constructor({ networkPolicies, clusterNetworkPolicies, closed }: PolicyObjects) {
    const asEnforced = (policy: CompiledPolicy) =>
      closed?.has(policyId(policy)) === true ? withoutRoom(policy) : policy;
    const compiled = Array.from(networkPolicies, (policy) =>
      asEnforced(compileNetworkPolicy(policy)),
    );
    this.#byNamespace = Map.groupBy(compiled, ({ key }) => key.slice(0, key.indexOf('/')));
    this.#cluster = inOrder(clusterNetworkPolicies).map(asEnforced);
  }

  /** What of the policies is not supported and fails closed. */
  problems(): readonly { readonly policy: string; readonly problem: string }[] {
    return this.policies().flatMap(({ key, problems }) =>
      problems.map((problem) => ({ policy: key, problem })),
    );
  }

  /** All of them, by tier and in the order in which they decide. */
  policies(): readonly CompiledPolicy[] {
    const ofTier = (wanted: CompiledPolicy['tier']) =>
      this.#cluster.filter(({ tier }) => tier === wanted);
    return [...ofTier('Admin'), ...[...this.#byNamespace.values()].flat(), ...ofTier('Baseline')];
  }

  /** The policies that select a pod. */
  selecting(pod: PodParty): readonly CompiledPolicy[] {
    return Object.values(this.#selectedBy(pod)).flat();
  }

  /** Both sides have to allow a connection; replies belong to it. */
  verdict(connection: Connection): Verdict {
    const { from, to } = connection;
    const egress = this.#finding('egress', from, to, connection);
    const ingress = this.#finding('ingress', to, from, connection);
    return { isAllowed: egress.isAllowed && ingress.isAllowed, egress, ingress };
  }

  #finding(direction: Direction, subject: Party, peer: Party, connection: Connection): Finding {
    if (subject.kind !== 'pod') return NO_SUBJECT;
    if (subject === peer) return SAME_POD;
    if (isOwnNode(subject, peer)) return OWN_NODE;
    const { Admin, NetworkPolicy: namespaced, Baseline } = this.#selectedBy(subject);
    const isMeant = (rule: CompiledRule) =>
      isPeerOf(rule.peers, peer, connection.family) &&
      isPortOf(rule.ports, connection, connection.to);
    return (
      decideInTurn(Admin, direction, isMeant) ??
      decideTogether(namespaced, direction, isMeant) ??
      decideInTurn(Baseline, direction, isMeant) ??
      NO_POLICY
    );
  }

  #selectedBy(pod: PodParty): Selected {
    const known = this.#selected.get(pod);
    if (known !== undefined) return known;
    const isForPod = ({ isSubject }: CompiledPolicy) => isSubject(pod);
    const cluster = this.#cluster.filter(isForPod);
    const selected: Selected = {
      Admin: cluster.filter(({ tier }) => tier === 'Admin'),
      NetworkPolicy: (this.#byNamespace.get(pod.namespace) ?? []).filter(isForPod),
      Baseline: cluster.filter(({ tier }) => tier === 'Baseline'),
    };
    this.#selected.set(pod, selected);
    return selected;
  }
}

function isOwnNode(pod: PodParty, peer: Party): boolean {
  return peer.kind === 'node' && peer.name !== '' && peer.name === pod.nodeName;
}

/** The first rule that matches decides; Pass leaves the decision to the next tier. */
function decideInTurn(
  policies: readonly CompiledPolicy[],
  direction: Direction,
  isMeant: (rule: CompiledRule) => boolean,
): Finding | undefined {
  for (const policy of policies) {
    const rules = policy.rules[direction] ?? [];
    const index = rules.findIndex(isMeant);
    const rule = rules[index];
    if (rule === undefined) continue;
    if (rule.action === 'Pass') return undefined;
    return ruleFinding(policy, index, rule);
  }
  return undefined;
}

/** Policies that isolate the pod add up: one rule that matches is enough. */
function decideTogether(
  policies: readonly CompiledPolicy[],
  direction: Direction,
  isMeant: (rule: CompiledRule) => boolean,
): Finding | undefined {
  const isolating = policies.filter(({ rules }) => rules[direction] !== undefined);
  if (isolating.length === 0) return undefined;
  for (const policy of isolating) {
    const rules = policy.rules[direction] ?? [];
    const index = rules.findIndex(isMeant);
    const rule = rules[index];
    if (rule !== undefined) return ruleFinding(policy, index, rule);
  }
  return { kind: 'isolated', isAllowed: false, policies: isolating.map(({ key }) => key) };
}

function ruleFinding(policy: CompiledPolicy, index: number, rule: CompiledRule): Finding {
  const by = { tier: policy.tier, policy: policy.key, rule: index, ruleName: rule.name };
  return { kind: 'rule', isAllowed: rule.action === 'Accept', by };
}
