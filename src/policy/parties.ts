/** Who talks: pods, nodes and addresses that belong to neither. */
import type { Labels, NamedPort, Namespace, Pod } from '../kube/policy/types.ts';
import { objectKey } from '../kube/resources.ts';
import type { Node } from '../kube/types.ts';
import { type IP, tryParseIP } from '../net/ip.ts';

/** A pod with a network of its own, as policies see it. */
export interface PodParty {
  readonly kind: 'pod';
  /** `namespace/name`. */
  readonly key: string;
  readonly namespace: string;
  readonly labels: Labels;
  readonly namespaceLabels: Labels;
  readonly nodeName: string | undefined;
  /** The primary one first. */
  readonly ips: readonly IP[];
  readonly ports: readonly NamedPort[];
}

/** A node, or a pod that uses its network. */
export interface NodeParty {
  readonly kind: 'node';
  readonly name: string;
  readonly labels: Labels;
  readonly ips: readonly IP[];
}

export interface AddressParty {
  readonly kind: 'address';
  readonly ips: readonly [IP];
}

export type Party = PodParty | NodeParty | AddressParty;

/** The label that every Namespace has, whether or not its object was seen (KEP-2161). */
const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name';

export interface PartyObjects {
  readonly pods: Iterable<Pod>;
  readonly namespaces: Iterable<Namespace>;
  readonly nodes: Iterable<Node>;
}

/** Why a name leads to no party. */
export interface Unresolved {
  readonly problem: string;
}

/** Pods, nodes and addresses of one moment; an address finds its pod or node. */
export class Parties {
  readonly #pods = new Map<string, PodParty | NodeParty | Unresolved>();
  readonly #nodes = new Map<string, NodeParty>();
  readonly #byIP = new Map<IP, PodParty | NodeParty>();

  constructor({ pods, namespaces, nodes }: PartyObjects) {
    const namespaceLabels = new Map(
      [...namespaces].map(({ metadata: { name, labels } }) => [name, labels ?? {}]),
    );
    for (const node of nodes) this.#addNode(node);
    for (const pod of pods) this.#addPod(pod, namespaceLabels.get(pod.metadata.namespace) ?? {});
  }

  /** Pods with a network of their own, by key. */
  pods(): readonly PodParty[] {
    return [...this.#pods.values()].filter(
      (pod): pod is PodParty => 'kind' in pod && pod.kind === 'pod',
    );
  }

  /** Who has an address. */
  at(ip: IP): Party {
    return this.#byIP.get(ip) ?? { kind: 'address', ips: [ip] };
  }

  /** `namespace/name`, `node/name` or an address. */
  resolve(text: string): Party | Unresolved {
    const pod = this.#pods.get(text);
    if (pod !== undefined) return pod;
    const [scope, name, ...rest] = text.split('/');
    if (!scope || !name || rest.length > 0) return this.#resolveAddress(text);
    if (scope === 'node') return this.#nodes.get(name) ?? { problem: `no Node ${name}` };
    return { problem: `no Pod ${text}` };
  }

  #resolveAddress(text: string): Party | Unresolved {
    const ip = tryParseIP(text);
    if (ip !== undefined) return this.at(ip);
    return { problem: `${text}: expected namespace/pod, node/name or an address` };
  }

  #addNode(node: Node): void {
    const party = nodeParty(node);
    this.#nodes.set(party.name, party);
    for (const ip of party.ips) this.#byIP.set(ip, party);
  }

  #addPod(pod: Pod, namespaceLabels: Labels): void {
    const key = objectKey(pod);
    if (pod.hasEnded) {
      this.#pods.set(key, { problem: `Pod ${key} has ended: its addresses are no longer its own` });
      return;
    }
    if (pod.usesHostNetwork) {
      this.#pods.set(key, this.#hostOf(pod));
      return;
    }
    const party = podParty(pod, namespaceLabels);
    this.#pods.set(key, party);
    for (const ip of party.ips) this.#byIP.set(ip, party);
  }

  /** To policies a pod with the node's network is the node, known by its object or by the pod alone. */
  #hostOf(pod: Pod): NodeParty {
    const known = this.#nodes.get(pod.nodeName ?? '');
    return known ?? { kind: 'node', name: pod.nodeName ?? '', labels: {}, ips: addresses(pod.ips) };
  }
}

/** How people call who has an address: `namespace/name`, `node/name`, or the address. */
export function partyName(party: Party, ip: IP): string {
  if (party.kind === 'pod') return party.key;
  return party.kind === 'node' && party.name !== '' ? `node/${party.name}` : ip;
}

export function nodeParty({ metadata, status }: Node): NodeParty {
  const ips = (status?.addresses ?? []).flatMap(({ type, address }) =>
    type === 'InternalIP' || type === 'ExternalIP' ? addresses([address]) : [],
  );
  return { kind: 'node', name: metadata.name, labels: metadata.labels ?? {}, ips };
}

/** Of a pod with a network of its own. */
export function podParty(pod: Pod, namespaceLabels: Labels): PodParty {
  const { namespace, labels = {} } = pod.metadata;
  return {
    kind: 'pod',
    key: objectKey(pod),
    namespace,
    labels,
    namespaceLabels: { ...namespaceLabels, [NAMESPACE_NAME_LABEL]: namespace },
    nodeName: pod.nodeName,
    ips: addresses(pod.ips),
    ports: pod.ports,
  };
}

function addresses(texts: readonly string[]): readonly IP[] {
  return texts.flatMap((text) => tryParseIP(text) ?? []);
}
