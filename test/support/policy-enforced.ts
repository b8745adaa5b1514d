/** Objects of a cluster, told to the Enforcers of a lab's nodes, and what the evaluator says of them. */
import { parse } from 'yaml';
import { decodeClusterNetworkPolicy } from '../../src/kube/policy/decode-cluster-network-policy.ts';
import { decodeNetworkPolicy } from '../../src/kube/policy/decode-network-policy.ts';
import { decodeNamespace, decodePod } from '../../src/kube/policy/decode-pods.ts';
import type {
  ClusterNetworkPolicy,
  Namespace,
  NetworkPolicy,
  Pod,
} from '../../src/kube/policy/types.ts';
import { nodes as allNodes, objectKey } from '../../src/kube/resources.ts';
import type { Node } from '../../src/kube/types.ts';
import { parseIP } from '../../src/net/ip.ts';
import type { PolicyChange } from '../../src/policy/change.ts';
import type { Enforcer } from '../../src/policy/enforcer.ts';
import { type PolicyWorld, policyWorld } from '../../src/policy/world.ts';
import type { Places, PodPlace } from './policy-lab.ts';
import type { Question } from './policy-matrix.ts';
import { nodeObject, type PodOptions, podObject } from './policy-objects.ts';

export type Enforcement = Pick<Enforcer, 'apply' | 'setSynced' | 'commit' | 'close'>;

/** A policy's kind and key. */
type PolicyName = { readonly kind: 'networkPolicy' | 'clusterNetworkPolicy'; readonly key: string };

export class EnforcedCluster {
  readonly #places: Places;
  /** Of each node of the lab. */
  readonly #enforcements: readonly Enforcement[];
  readonly #pods = new Map<string, Pod>();
  readonly #namespaces = new Map<string, Namespace>();
  readonly #nodes = new Map<string, Node>();
  readonly #networkPolicies = new Map<string, NetworkPolicy>();
  readonly #clusterNetworkPolicies = new Map<string, ClusterNetworkPolicy>();
  /** By place: who has its addresses. */
  readonly #placed = new Map<PodPlace, string>();
  #world: PolicyWorld | undefined;

  constructor(places: Places, enforcements: readonly Enforcement[]) {
    this.#places = places;
    this.#enforcements = enforcements;
    for (const { nodeName, ips } of places.nodes) this.putNode(nodeName, Object.values(ips));
  }

  putNode(name: string, ips: readonly string[], labels = {}): void {
    const now = allNodes().decode(nodeObject(name, ips, labels), 'strict');
    this.#nodes.set(name, now);
    this.#tell({ kind: 'node', key: name, now });
  }

  putNamespace(name: string, labels: Readonly<Record<string, string>>): void {
    const now = decodeNamespace({ metadata: { name, labels } }, 'strict');
    this.#namespaces.set(name, now);
    this.#tell({ kind: 'namespace', key: name, now });
  }

  /** A pod with the addresses of a place; who had them before goes. One that has ended is detached. */
  place(at: PodPlace, options: PodOptions = {}, key = at.name): void {
    const before = this.#placed.get(at);
    if (before !== undefined && before !== key) this.#takeAway(at, before);
    this.#placed.set(at, key);
    const ips = Object.values(at.ips);
    this.putPod(key, { ips, node: this.#places.nodes[at.node]?.nodeName ?? '', ...options });
    this.#enforcements[at.node]?.apply(this.#localPod(at, key));
  }

  /** A pod's object alone. */
  putPod(key: string, options: PodOptions): void {
    const now = decodePod(podObject(key, options), 'strict');
    this.#pods.set(key, now);
    this.#tell({ kind: 'pod', key, now });
  }

  deletePod(key: string): void {
    this.#pods.delete(key);
    this.#tell({ kind: 'pod', key });
  }

  /** A NetworkPolicy or ClusterNetworkPolicy, or YAML of one, without apiVersion. */
  putPolicy(policy: string | object): PolicyName {
    const object = (typeof policy === 'string' ? parse(policy) : policy) as { kind: string };
    if (object.kind === 'NetworkPolicy') {
      const now = decodeNetworkPolicy(object, 'lenient');
      const name = { kind: 'networkPolicy', key: objectKey(now) } as const;
      this.#networkPolicies.set(name.key, now);
      this.#tell({ ...name, now });
      return name;
    }
    const now = decodeClusterNetworkPolicy(object, 'lenient');
    const name = { kind: 'clusterNetworkPolicy', key: objectKey(now) } as const;
    this.#clusterNetworkPolicies.set(name.key, now);
    this.#tell({ ...name, now });
    return name;
  }

  deletePolicy(name: PolicyName): void {
    if (name.kind === 'networkPolicy') this.#networkPolicies.delete(name.key);
    else this.#clusterNetworkPolicies.delete(name.key);
    this.#tell(name);
  }

  deletePolicies(): void {
    for (const key of this.#networkPolicies.keys()) {
      this.deletePolicy({ kind: 'networkPolicy', key });
    }
    for (const key of this.#clusterNetworkPolicies.keys()) {
      this.deletePolicy({ kind: 'clusterNetworkPolicy', key });
    }
  }

  /** The policies as they are, for people to read. */
  policies(): string {
    const all = [...this.#networkPolicies.values(), ...this.#clusterNetworkPolicies.values()];
    return all.map((policy) => JSON.stringify(policy)).join('\n');
  }

  setSynced(): void {
    for (const enforcement of this.#enforcements) enforcement.setSynced();
  }

  /** What was told so far is in the kernels. */
  commit(): void {
    for (const enforcement of this.#enforcements) enforcement.commit();
  }

  async close(): Promise<void> {
    for (const enforcement of this.#enforcements) await enforcement.close();
  }

  /** All of it once more, as an Enforcer that starts is told. */
  tellAll(enforcement: Enforcement, node: number): void {
    for (const [at, key] of this.#placed) {
      if (at.node === node) enforcement.apply(this.#localPod(at, key));
    }
    for (const [key, now] of this.#nodes) enforcement.apply({ kind: 'node', key, now });
    for (const [key, now] of this.#namespaces) enforcement.apply({ kind: 'namespace', key, now });
    for (const [key, now] of this.#pods) enforcement.apply({ kind: 'pod', key, now });
    for (const [key, now] of this.#networkPolicies) {
      enforcement.apply({ kind: 'networkPolicy', key, now });
    }
    for (const [key, now] of this.#clusterNetworkPolicies) {
      enforcement.apply({ kind: 'clusterNetworkPolicy', key, now });
    }
  }

  /** What the evaluator says of packets with these addresses, whoever has them. */
  isAllowed({ from, to, family, protocol, port }: Question): boolean {
    this.#world ??= policyWorld({
      pods: this.#pods.values(),
      namespaces: this.#namespaces.values(),
      nodes: this.#nodes.values(),
      networkPolicies: this.#networkPolicies.values(),
      clusterNetworkPolicies: this.#clusterNetworkPolicies.values(),
    });
    const { parties, evaluator } = this.#world;
    const [source, target] = [from, to].map(({ ips }) => parties.resolve(ips[family]));
    if (source === undefined || target === undefined) throw new Error('no parties');
    if ('problem' in source || 'problem' in target) throw new Error('an address is somebody');
    return evaluator.verdict({ from: source, to: target, family, protocol, port }).isAllowed;
  }

  #localPod(at: PodPlace, key: string): PolicyChange {
    if (this.#pods.get(key)?.hasEnded === true) return { kind: 'localPod', key };
    const now = { key, uid: undefined, ips: Object.values(at.ips).map(parseIP) };
    return { kind: 'localPod', key, now };
  }

  #takeAway(at: PodPlace, key: string): void {
    this.#enforcements[at.node]?.apply({ kind: 'localPod', key });
    this.deletePod(key);
  }

  #tell(change: PolicyChange): void {
    this.#world = undefined;
    for (const enforcement of this.#enforcements) enforcement.apply(change);
  }
}
