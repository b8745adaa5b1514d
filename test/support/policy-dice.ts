/** Policies, labels and pods by chance, about the addresses and names of a policy lab. */

import { containsCidr, parseCidr } from '../../src/net/cidr.ts';
import { randomStream } from '../faults/random.ts';
import type { EnforcedCluster } from './policy-enforced.ts';
import type { Places, PodPlace } from './policy-lab.ts';

const NAMESPACES = ['x', 'y', 'z'];
const LABELS = { app: ['web', 'db', 'cache'], tier: ['front', 'back'] } as const;
const NAMESPACE_LABELS = { team: ['red', 'blue'], env: ['prod', 'dev'] } as const;
const NODE_LABELS = { pool: ['a', 'b'] } as const;
const PORT_NAMES = ['web', 'alt', 'dns'];
const PROTOCOLS = ['TCP', 'UDP', 'SCTP'];
const PRIORITIES = [0, 10, 10, 500, 1000];
const NAMES = ['p1', 'p2', 'p3', 'p4'];
const ENDED_CHANCE = 0.05;

type LabelSets = Readonly<Record<string, readonly string[]>>;

export class PolicyDice {
  readonly #random: () => number;
  readonly #places: Places;
  readonly #addresses: readonly string[];

  constructor(seed: number, places: Places) {
    this.#random = randomStream(seed);
    this.#places = places;
    const { pods, nodes, outside } = places;
    this.#addresses = [...pods, ...nodes, outside].flatMap(({ ips }) => Object.values(ips));
  }

  /** Makes up everything: labels of namespaces, pods in all places and a few policies. */
  fill(cluster: EnforcedCluster): void {
    for (const name of NAMESPACES) cluster.putNamespace(name, this.#placesels(NAMESPACE_LABELS));
    for (const { nodeName, ips } of this.#places.nodes) {
      cluster.putNode(nodeName, Object.values(ips), this.#placesels(NODE_LABELS));
    }
    for (const pod of this.#places.pods) this.#placePod(cluster, pod);
    for (let i = 0; i < 4; i += 1) this.#putPolicy(cluster);
  }

  /** One to three changes of any kind. */
  change(cluster: EnforcedCluster): void {
    const count = 1 + this.below(3);
    for (let i = 0; i < count; i += 1) this.#changeOnce(cluster);
  }

  /** A pod by another name, with other labels and ports, in a place that another had. */
  replacePod(cluster: EnforcedCluster): void {
    this.#placePod(cluster, this.pick(this.#places.pods));
  }

  changeNamespace(cluster: EnforcedCluster): void {
    cluster.putNamespace(this.pick(NAMESPACES), this.#placesels(NAMESPACE_LABELS));
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  /** A whole number from 0 on. */
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  /** Around an address of the lab, as long or short as chance has it, with its host bits. */
  cidr(): string {
    const address = this.pick(this.#addresses);
    const bits = address.includes(':') ? 128 : 32;
    const lengths = [0, 8, bits / 2, bits / 2 + 8, bits - 8, bits - 2, bits - 1, bits];
    return `${address}/${this.pick(lengths)}`;
  }

  ipBlock(): object {
    const cidr = this.cidr();
    const except = this.#some(2, () => this.cidr()).filter((text) => isWithin(text, cidr));
    return { ipBlock: { cidr, ...(except.length > 0 && { except }) } };
  }

  #changeOnce(cluster: EnforcedCluster): void {
    const kind = this.below(10);
    if (kind < 5) this.#putPolicy(cluster);
    else if (kind < 7) this.#deletePolicy(cluster);
    else if (kind < 9) this.replacePod(cluster);
    else this.changeNamespace(cluster);
  }

  #placePod(cluster: EnforcedCluster, pod: PodPlace): void {
    const key = `${this.pick(NAMESPACES)}/pod${pod.index}-${this.below(3)}`;
    const ports = this.#some(3, () => {
      const port = this.pick([80, 81]);
      return `${this.pick(PORT_NAMES)}:${port}/${this.pick(PROTOCOLS)}`;
    });
    const phase = this.#random() < ENDED_CHANCE ? { phase: 'Succeeded' } : {};
    cluster.place(pod, { labels: this.#placesels(LABELS), ports, ...phase }, key);
  }

  #putPolicy(cluster: EnforcedCluster): void {
    const metadata = { name: this.pick(NAMES), namespace: this.pick(NAMESPACES) };
    if (this.below(3) > 0) {
      const spec = this.#networkPolicySpec();
      cluster.putPolicy({ kind: 'NetworkPolicy', metadata, spec });
      return;
    }
    const spec = {
      tier: this.pick(['Admin', 'Baseline']),
      priority: this.pick(PRIORITIES),
      subject: this.#podPeer(),
      ingress: this.#some(3, () => this.#clusterRule('from')),
      egress: this.#some(3, () => this.#clusterRule('to')),
    };
    cluster.putPolicy({ kind: 'ClusterNetworkPolicy', metadata: { name: metadata.name }, spec });
  }

  #deletePolicy(cluster: EnforcedCluster): void {
    const name = this.pick(NAMES);
    if (this.below(3) === 0) cluster.deletePolicy({ kind: 'clusterNetworkPolicy', key: name });
    else {
      cluster.deletePolicy({ kind: 'networkPolicy', key: `${this.pick(NAMESPACES)}/${name}` });
    }
  }

  #networkPolicySpec(): object {
    const policyTypes = this.pick([['Ingress'], ['Egress'], ['Ingress', 'Egress']]);
    const rules = (peers: 'from' | 'to') =>
      this.#some(2, () => ({
        [peers]: this.#some(3, () => this.#peer()),
        ports: this.#some(2, () => this.#port()),
      }));
    return {
      podSelector: this.#selector(LABELS),
      policyTypes,
      ...(policyTypes.includes('Ingress') && { ingress: rules('from') }),
      ...(policyTypes.includes('Egress') && { egress: rules('to') }),
    };
  }

  #peer(): object {
    const kind = this.below(4);
    if (kind === 0) return this.ipBlock();
    const podSelector = this.#selector(LABELS);
    const namespaceSelector = this.#selector(NAMESPACE_LABELS);
    if (kind === 1) return { podSelector };
    return kind === 2 ? { namespaceSelector } : { podSelector, namespaceSelector };
  }

  #port(): object {
    const protocol = this.pick(PROTOCOLS);
    const kind = this.below(4);
    if (kind === 0) return { protocol };
    if (kind === 1) return { protocol, port: this.pick(PORT_NAMES) };
    if (kind === 2) return { protocol, port: this.pick([80, 81]) };
    return { protocol, port: this.pick([1, 80, 81]), endPort: this.pick([81, 65_535]) };
  }

  #clusterRule(peers: 'from' | 'to'): object {
    const protocols = this.#some(2, () => this.#clusterProtocol());
    return {
      action: this.pick(['Accept', 'Deny', 'Pass']),
      [peers]: [this.#clusterPeer(peers), ...this.#some(2, () => this.#clusterPeer(peers))],
      ...(protocols.length > 0 && { protocols }),
    };
  }

  #clusterPeer(peers: 'from' | 'to'): object {
    const kind = this.below(peers === 'to' ? 4 : 2);
    if (kind === 2) return { nodes: this.#selector(NODE_LABELS) };
    if (kind === 3) return { networks: [this.cidr()] };
    return this.#podPeer();
  }

  #podPeer(): object {
    const namespaceSelector = this.#selector(NAMESPACE_LABELS);
    if (this.below(2) === 0) return { namespaces: namespaceSelector };
    return { pods: { namespaceSelector, podSelector: this.#selector(LABELS) } };
  }

  #clusterProtocol(): object {
    const protocol = this.pick(PROTOCOLS).toLowerCase();
    const kind = this.below(4);
    if (kind === 0) return { [protocol]: {} };
    if (kind === 1) return { destinationNamedPort: this.pick(PORT_NAMES) };
    const range = { start: this.pick([1, 80, 81]), end: this.pick([81, 65_535]) };
    const destinationPort = kind === 2 ? { number: this.pick([80, 81]) } : { range };
    return { [protocol]: { destinationPort } };
  }

  #selector(labels: LabelSets): object {
    const key = this.pick(Object.keys(labels));
    const value = this.pick(labels[key] ?? []);
    const kind = this.below(5);
    if (kind === 0) return {};
    if (kind < 3) return { matchLabels: { [key]: value } };
    const operator = this.pick(['In', 'NotIn', 'Exists', 'DoesNotExist']);
    const values = operator.endsWith('In') ? { values: [value] } : {};
    return { matchExpressions: [{ key, operator, ...values }] };
  }

  #placesels(labels: LabelSets): Readonly<Record<string, string>> {
    const chosen = Object.entries(labels).filter(() => this.below(4) > 0);
    return Object.fromEntries(chosen.map(([key, values]) => [key, this.pick(values)]));
  }

  /** Fewer than `limit`, perhaps none. */
  #some<T>(limit: number, make: () => T): readonly T[] {
    return Array.from({ length: this.below(limit) }, make);
  }
}

/** As the API demands of exceptions. */
function isWithin(text: string, cidr: string): boolean {
  if (text.includes(':') !== cidr.includes(':')) return false;
  return containsCidr(parseCidr(cidr), parseCidr(text));
}
