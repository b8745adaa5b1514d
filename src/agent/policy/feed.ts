import {
  clusterNetworkPolicies,
  namespaces,
  networkPolicies,
  podsOfNode,
  podsOfOtherNodes,
} from '../../kube/policy/resources.ts';
import type { ClusterNetworkPolicy, NetworkPolicy, Pod } from '../../kube/policy/types.ts';
import { nodes, objectKey, type Resource } from '../../kube/resources.ts';
import type { ObjectHandlers, ObjectSource, Subscription } from '../../kube/source.ts';
import type { KubernetesObject } from '../../kube/types.ts';
import type { PolicyChange } from '../../policy/change.ts';
import type { Clock } from '../../util/clock.ts';
import { needsAllPods } from './needs.ts';

export interface FeedOptions {
  readonly source: ObjectSource;
  readonly nodeName: string;
  readonly apply: (change: PolicyChange) => void;
  /** Something was read whole, or is no longer held back. */
  readonly onProgress: () => void;
  readonly clock: Clock;
}

type PolicyKind = 'networkPolicy' | 'clusterNetworkPolicy';
type Policy = NetworkPolicy | ClusterNetworkPolicy;

/**
 * A policy whose peers are read for its sake waits for them: without them it would cut connections that it
 * allows. Not for ever: a server that does not answer keeps no policy out.
 */
const PEERS_WAIT_MS = 10_000;
/** All pods are not read anew for a policy that is replaced by another. */
const KEEP_PEERS_MS = 60_000;

/**
 * Hands over what decides about pods of this node: policies, Namespaces, Nodes and the pods of this node
 * always, those of other nodes only while a policy is about them.
 */
export class PolicyFeed {
  readonly #options: FeedOptions;
  /** Keys of pods of this node. */
  readonly #own = new Set<string>();
  /** Keys of the policies that are about pods of other nodes, by kind. */
  readonly #needing = new Set<string>();
  readonly #counts = { networkPolicy: new Set<string>(), clusterNetworkPolicy: new Set<string>() };
  readonly #parked = new Map<string, { readonly kind: PolicyKind; readonly policy: Policy }>();
  readonly #ownPods: Subscription<Pod>;
  readonly #first: readonly Subscription<KubernetesObject>[];
  #others: Subscription<Pod> | undefined;
  #hasOthers = false;
  #areFirstRead = false;
  #areFirstConfirmed = false;
  /** Also while nobody needs them. */
  #areOthersConfirmed = true;
  #cancelPark = () => {};
  #cancelKeep = () => {};

  constructor(options: FeedOptions) {
    this.#options = options;
    const { source, nodeName, apply } = options;
    const follow = <T extends KubernetesObject>(
      resource: Resource<T>,
      put: (key: string, now?: T) => void,
    ): Subscription<T> => source.watch(resource, handlersFor(put));
    this.#ownPods = follow(podsOfNode(nodeName), (key, now) => this.#putOwn(key, now));
    this.#first = [
      this.#ownPods,
      follow(namespaces, (key, now) => apply({ kind: 'namespace', key, ...(now && { now }) })),
      follow(nodes(), (key, now) => apply({ kind: 'node', key, ...(now && { now }) })),
      follow(networkPolicies, (key, now) => this.#putPolicy('networkPolicy', key, now)),
      follow(clusterNetworkPolicies, (key, now) =>
        this.#putPolicy('clusterNetworkPolicy', key, now),
      ),
    ];
    void Promise.all(this.#first.map(({ synced }) => synced)).then(() => {
      this.#areFirstRead = true;
      options.onProgress();
    });
    void Promise.all(this.#first.map(({ confirmed }) => confirmed)).then(() => {
      this.#areFirstConfirmed = true;
      options.onProgress();
    });
  }

  /** Everything was read once, if only as the last run left it, and nothing is held back. */
  get isRead(): boolean {
    return this.#areFirstRead && this.#parked.size === 0;
  }

  /** The server itself has said so. */
  get isConfirmed(): boolean {
    return this.isRead && this.#areFirstConfirmed && this.#areOthersConfirmed;
  }

  /** Whether a policy is held back that may select pods of this namespace. */
  holdsBackFor(namespace: string): boolean {
    return [...this.#parked.values()].some(
      ({ policy: { metadata } }) => metadata.namespace === '' || metadata.namespace === namespace,
    );
  }

  /** Policies that there are, by kind. */
  get policies(): { readonly network: number; readonly cluster: number } {
    const { networkPolicy, clusterNetworkPolicy } = this.#counts;
    return { network: networkPolicy.size, cluster: clusterNetworkPolicy.size };
  }

  /** Those of this node, as the API has them. */
  ownPods(): readonly Pod[] {
    return this.#ownPods.objects();
  }

  get readsAllPods(): boolean {
    return this.#others !== undefined;
  }

  close(): void {
    this.#cancelPark();
    this.#cancelKeep();
    for (const subscription of this.#first) subscription.close();
    this.#others?.close();
  }

  #putOwn(key: string, now: Pod | undefined): void {
    if (now === undefined) this.#own.delete(key);
    else this.#own.add(key);
    // It may be another node's by now.
    this.#applyPod(key, now ?? this.#findOther(key));
  }

  #putOther(key: string, now: Pod | undefined): void {
    if (!this.#own.has(key)) this.#applyPod(key, now);
  }

  #applyPod(key: string, now: Pod | undefined): void {
    this.#options.apply({ kind: 'pod', key, ...(now && { now }) });
    this.#options.onProgress();
  }

  #findOther(key: string): Pod | undefined {
    return this.#others?.objects().find((pod) => objectKey(pod) === key);
  }

  #putPolicy(kind: PolicyKind, key: string, now: Policy | undefined): void {
    const id = `${kind} ${key}`;
    if (now === undefined) this.#counts[kind].delete(key);
    else this.#counts[kind].add(key);
    const needs = now !== undefined && needsAllPods(now);
    if (needs) this.#needing.add(id);
    else this.#needing.delete(id);
    const wasParked = this.#parked.delete(id);
    this.#follow();
    if (needs && !this.#hasOthers) {
      this.#park(id, kind, now);
      return;
    }
    this.#applyPolicy(kind, key, now);
    if (wasParked) this.#options.onProgress();
  }

  #applyPolicy(kind: PolicyKind, key: string, now: Policy | undefined): void {
    // Each kind's subscription brings objects of that kind.
    this.#options.apply({ kind, key, ...(now && { now }) } as PolicyChange);
  }

  #park(id: string, kind: PolicyKind, policy: Policy): void {
    if (this.#parked.size === 0) {
      this.#cancelPark = this.#options.clock.schedule(PEERS_WAIT_MS, () => this.#release());
    }
    this.#parked.set(id, { kind, policy });
  }

  #release(): void {
    this.#cancelPark();
    for (const { kind, policy } of this.#parked.values()) {
      this.#applyPolicy(kind, objectKey(policy), policy);
    }
    this.#parked.clear();
    this.#options.onProgress();
  }

  /** Reads pods of other nodes while some policy is about them, and a little longer. */
  #follow(): void {
    const { source, nodeName, clock } = this.#options;
    this.#cancelKeep();
    if (this.#needing.size === 0) {
      if (this.#others !== undefined) {
        this.#cancelKeep = clock.schedule(KEEP_PEERS_MS, () => this.#endOthers());
      }
      return;
    }
    if (this.#others !== undefined) return;
    const others = source.watch(
      podsOfOtherNodes(nodeName),
      handlersFor<Pod>((key, now) => this.#putOther(key, now)),
    );
    this.#others = others;
    this.#areOthersConfirmed = false;
    void others.confirmed.then(() => {
      if (this.#others !== others) return;
      this.#areOthersConfirmed = true;
      this.#options.onProgress();
    });
    void others.synced.then(() => {
      if (this.#others !== others) return;
      this.#hasOthers = true;
      this.#release();
    });
  }

  #endOthers(): void {
    const others = this.#others;
    if (others === undefined) return;
    const gone = others.objects().map(objectKey);
    this.#others = undefined;
    this.#hasOthers = false;
    this.#areOthersConfirmed = true;
    others.close();
    for (const key of gone) if (!this.#own.has(key)) this.#applyPod(key, undefined);
  }
}

function handlersFor<T extends KubernetesObject>(
  put: (key: string, now?: T) => void,
): ObjectHandlers<T> {
  return {
    onAdd: (object) => put(objectKey(object), object),
    onUpdate: (object) => put(objectKey(object), object),
    onDelete: (object) => put(objectKey(object)),
  };
}
