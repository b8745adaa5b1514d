/** Compiled policies, and which of them select a pod. */
import type { ClusterNetworkPolicy, NetworkPolicy } from '../kube/policy/types.ts';
import { policyId, withoutRoom } from './budget.ts';
import { compileNetworkPolicy, inOrder } from './compiled.ts';
import type { CompiledPolicy } from './compiled-policy.ts';
import { namespaceOf } from './facts.ts';
import type { PodParty } from './parties.ts';
import { namesIn } from './policy-set.ts';

export class Selections {
  readonly #byNamespace = new Map<string, Map<string, CompiledPolicy>>();
  #cluster: readonly CompiledPolicy[] = [];
  /** By what has the same labels, until a policy changes. */
  #selected = new WeakMap<object, readonly CompiledPolicy[]>();
  #needsAllPods: boolean | undefined;
  /** Policies that there is no room for, by policyId. */
  #closed: ReadonlySet<string> = new Set();

  /** Another value whenever others are closed. */
  get closed(): ReadonlySet<string> {
    return this.#closed;
  }

  /** Gives those that are another value from now on, by policyId. */
  setClosed(closed: ReadonlySet<string>): ReadonlySet<string> {
    const before = this.#closed;
    const changed = new Set(
      [...closed, ...before].filter((id) => closed.has(id) !== before.has(id)),
    );
    if (changed.size === 0) return changed;
    this.#closed = closed;
    this.#forget();
    return changed;
  }

  get count(): number {
    let count = this.#cluster.length;
    for (const policies of this.#byNamespace.values()) count += policies.size;
    return count;
  }

  *all(): Generator<CompiledPolicy> {
    for (const policies of this.#byNamespace.values()) {
      for (const policy of policies.values()) yield this.#asEnforced(policy);
    }
    for (const policy of this.#cluster) yield this.#asEnforced(policy);
  }

  get overBudget(): number {
    let count = 0;
    for (const { isOverBudget } of this.all()) count += Number(isOverBudget);
    return count;
  }

  /** What of the policies is not supported and fails closed. */
  problems(): readonly { readonly policy: string; readonly problem: string }[] {
    return [...this.all()].flatMap(({ key, problems }) =>
      problems.map((problem) => ({ policy: key, problem })),
    );
  }

  setNetworkPolicy(key: string, policy: NetworkPolicy | undefined): void {
    this.#forget();
    const namespace = namespaceOf(key);
    const policies = this.#byNamespace.get(namespace) ?? new Map<string, CompiledPolicy>();
    if (policy === undefined) policies.delete(key);
    else policies.set(key, compileNetworkPolicy(policy));
    if (policies.size === 0) this.#byNamespace.delete(namespace);
    else this.#byNamespace.set(namespace, policies);
  }

  setClusterPolicies(policies: Iterable<ClusterNetworkPolicy>): void {
    this.#forget();
    this.#cluster = inOrder(policies);
  }

  /**
   * In the order in which they decide; those of a namespace, which have none, by name. Pods that are
   * `alike` are asked about once.
   */
  selecting(pod: PodParty, alike: object): readonly CompiledPolicy[] {
    const known = this.#selected.get(alike) ?? this.#select(pod);
    this.#selected.set(alike, known);
    return known;
  }

  #asEnforced(policy: CompiledPolicy): CompiledPolicy {
    if (this.#closed.size === 0) return policy;
    return this.#closed.has(policyId(policy)) ? withoutRoom(policy) : policy;
  }

  #forget(): void {
    this.#selected = new WeakMap();
    this.#needsAllPods = undefined;
  }

  #select(pod: PodParty): readonly CompiledPolicy[] {
    const own = [...(this.#byNamespace.get(pod.namespace)?.values() ?? [])];
    const selecting = [...this.#cluster, ...own]
      .filter((policy) => policy.isSubject(pod))
      .map((policy) => this.#asEnforced(policy));
    const ofTier = (tier: CompiledPolicy['tier']) =>
      selecting.filter((policy) => policy.tier === tier);
    const byName = (a: CompiledPolicy, b: CompiledPolicy) => (a.key < b.key ? -1 : 1);
    return [...ofTier('Admin'), ...ofTier('NetworkPolicy').sort(byName), ...ofTier('Baseline')];
  }

  /** Whether some policy may select a pod of a namespace, whatever its labels. */
  concerns(namespace: string): boolean {
    if (this.#byNamespace.has(namespace)) return true;
    return this.#cluster.some(({ rules }) => {
      return (rules.ingress?.length ?? 0) + (rules.egress?.length ?? 0) > 0;
    });
  }

  /** Whether some rule is about pods other than its subject. */
  needsAllPods(): boolean {
    this.#needsAllPods ??= [...this.all()].some(
      (policy) =>
        namesIn([policy], 'egress').length > 0 ||
        Object.values(policy.rules).some((rules) =>
          rules.some(
            ({ peers }) =>
              peers !== 'everybody' && peers.some((peer) => peer.kind === 'parties' && peer.isPods),
          ),
        ),
    );
    return this.#needsAllPods;
  }
}
