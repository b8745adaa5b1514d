/** What was told of the cluster and of this node, and what of it has changed. */
import type { ClusterNetworkPolicy, Namespace, NetworkPolicy, Pod } from '../kube/policy/types.ts';
import type { Node } from '../kube/types.ts';
import type { LocalPod, PolicyChange } from './change.ts';

/** A pod of this node, with its object as it was seen last: it has its labels until it is detached. */
export interface KnownLocalPod {
  readonly local: LocalPod;
  readonly pod: Pod | undefined;
}

/** Keys of what has changed. */
export class Touched {
  readonly pods = new Set<string>();
  readonly locals = new Set<string>();
  readonly nodes = new Set<string>();
  readonly namespaces = new Set<string>();
  readonly networkPolicies = new Set<string>();
  readonly clusterNetworkPolicies = new Set<string>();
}

export class PolicyFacts {
  readonly pods = new Map<string, Pod>();
  readonly locals = new Map<string, KnownLocalPod>();
  readonly namespaces = new Map<string, Namespace>();
  readonly nodes = new Map<string, Node>();
  readonly networkPolicies = new Map<string, NetworkPolicy>();
  readonly clusterNetworkPolicies = new Map<string, ClusterNetworkPolicy>();
  /** Keys of pods by namespace, those of this node among them. */
  readonly #podKeys = new Map<string, Set<string>>();
  #touched = new Touched();

  apply(change: PolicyChange): void {
    const { key } = change;
    switch (change.kind) {
      case 'pod':
        setOrDelete(this.pods, key, change.now);
        this.#touched.pods.add(key);
        this.#noteLocal(key, this.locals.get(key)?.local);
        break;
      case 'localPod':
        this.#touched.pods.add(key);
        this.#noteLocal(key, change.now);
        break;
      case 'namespace':
        setOrDelete(this.namespaces, key, change.now);
        this.#touched.namespaces.add(key);
        break;
      case 'node':
        setOrDelete(this.nodes, key, change.now);
        this.#touched.nodes.add(key);
        break;
      case 'networkPolicy':
        setOrDelete(this.networkPolicies, key, change.now);
        this.#touched.networkPolicies.add(key);
        break;
      case 'clusterNetworkPolicy':
        setOrDelete(this.clusterNetworkPolicies, key, change.now);
        this.#touched.clusterNetworkPolicies.add(key);
        break;
    }
  }

  /** With the pods of namespaces that have changed. */
  takeTouched(): Touched {
    const touched = this.#touched;
    this.#touched = new Touched();
    for (const namespace of touched.namespaces) {
      for (const key of this.#podKeys.get(namespace) ?? []) {
        touched.pods.add(key);
        if (this.locals.has(key)) touched.locals.add(key);
      }
    }
    return touched;
  }

  /** As if all were new. */
  touchAll(): void {
    for (const kind of ['pods', 'locals', 'nodes', 'namespaces'] as const) {
      for (const key of this[kind].keys()) this.#touched[kind].add(key);
    }
    for (const kind of ['networkPolicies', 'clusterNetworkPolicies'] as const) {
      for (const key of this[kind].keys()) this.#touched[kind].add(key);
    }
    for (const key of this.locals.keys()) this.#touched.pods.add(key);
  }

  /** Whether the Pod object is that of the pod which is attached. */
  isObjectOf({ key, uid }: LocalPod): boolean {
    const pod = this.pods.get(key);
    return pod !== undefined && isSamePod(uid, pod);
  }

  #noteLocal(key: string, local: LocalPod | undefined): void {
    this.#indexPod(key, local !== undefined || this.pods.has(key));
    const before = this.locals.get(key);
    if (before === undefined && local === undefined) return;
    this.#touched.locals.add(key);
    if (local === undefined) {
      this.locals.delete(key);
      return;
    }
    const now = this.pods.get(key);
    const last = before?.pod;
    const pod = [now, last].find((each) => each !== undefined && isSamePod(local.uid, each));
    this.locals.set(key, { local, pod });
  }

  #indexPod(key: string, isThere: boolean): void {
    const namespace = namespaceOf(key);
    let keys = this.#podKeys.get(namespace);
    if (keys === undefined) {
      if (!isThere) return;
      keys = new Set();
      this.#podKeys.set(namespace, keys);
    }
    if (isThere) keys.add(key);
    else keys.delete(key);
    if (keys.size === 0) this.#podKeys.delete(namespace);
  }
}

/** What may be a policy of these keys, by its tier. */
export function policiesIn({ networkPolicies, clusterNetworkPolicies }: Touched) {
  return [
    ...Array.from(networkPolicies, (key) => ({ tier: 'NetworkPolicy' as const, key })),
    ...Array.from(clusterNetworkPolicies, (key) => ({ tier: 'Admin' as const, key })),
    ...Array.from(clusterNetworkPolicies, (key) => ({ tier: 'Baseline' as const, key })),
  ];
}

export function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf('/'));
}

function isSamePod(uid: string | undefined, pod: Pod): boolean {
  return uid === undefined || pod.metadata.uid === undefined || pod.metadata.uid === uid;
}

function setOrDelete<T>(map: Map<string, T>, key: string, value: T | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
