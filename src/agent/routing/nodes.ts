import { claimPodCIDRs, type Reserved } from '../../fabric/claims.ts';
import { type FabricNode, readFabricNode } from '../../fabric/nodes.ts';
import type { Node } from '../../kube/types.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import type { RoutedNode } from '../../routing/facts.ts';
import type { Labels } from '../../routing/node-selector.ts';

/** Annotation with the autonomous system of a Node. */
const ASN_ANNOTATION = 'weft.dev/asn';
const MOST_ASN = 4_294_967_295;
const MOST_SHOWN = 20;

interface Known {
  readonly node: FabricNode;
  readonly labels: Labels;
  readonly asn: number | undefined;
  /** What of the Node cannot be used; empty where all can. */
  readonly problem: string;
}

/** Nodes by name, of which each has the podCIDRs that the fabric would let it have. */
export class RoutedNodes {
  readonly #nodes = new Map<string, Known>();

  put(node: Node): void {
    const { name, labels = {}, annotations = {} } = node.metadata;
    const text = annotations[ASN_ANNOTATION];
    const asn = parseASN(text);
    const problem = text === undefined || asn !== undefined ? '' : whyNoASN(name, text);
    this.#nodes.set(name, { node: readFabricNode(node), labels, asn, problem });
  }

  delete(name: string): void {
    this.#nodes.delete(name);
  }

  names(): readonly string[] {
    return [...this.#nodes.keys()];
  }

  labelsOf(name: string): Labels {
    return this.#nodes.get(name)?.labels ?? {};
  }

  /** Nodes that say what cannot be, in words with the cure. */
  problems(): readonly string[] {
    return [...this.#nodes.values()].flatMap(({ problem }) => (problem === '' ? [] : [problem]));
  }

  /** What Nodes say, whoever is right. */
  podCIDRs(): readonly Cidr[] {
    return [...this.#nodes.values()].flatMap(({ node }) => node.podCIDRs);
  }

  list(reserved: Reserved): readonly RoutedNode[] {
    const known = [...this.#nodes.values()];
    const { owned, misplaced } = claimPodCIDRs(
      known.map(({ node }) => node),
      reserved,
    );
    const holders = holdersOf(known, misplaced);
    return known.map(({ node: { name, addresses }, labels, asn }) => ({
      ...{ name, labels },
      addresses: Object.values(addresses).filter((ip) => holders.get(ip) === name),
      podCIDRs: owned.get(name) ?? [],
      ...(asn === undefined ? {} : { asn }),
    }));
  }
}

/** Who has an address: of Nodes that say the same the oldest, or sessions of one would be another's. */
function holdersOf(
  known: readonly Known[],
  misplaced: ReadonlyMap<string, ReadonlySet<IP>>,
): ReadonlyMap<IP, string> {
  const age = ({ node: { createdAt, uid, name } }: Known) => `${createdAt} ${uid} ${name}`;
  const holders = new Map<IP, string>();
  for (const { node } of known.toSorted((a, b) => (age(a) < age(b) ? -1 : 1))) {
    for (const ip of Object.values(node.addresses)) {
      if (!misplaced.get(node.name)?.has(ip) && !holders.has(ip)) holders.set(ip, node.name);
    }
  }
  return holders;
}

/** What another Node says is only believed of itself, and nonsense is as good as nothing. */
function parseASN(text: string | undefined): number | undefined {
  const asn = text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : 0;
  return asn >= 1 && asn <= MOST_ASN ? asn : undefined;
}

/** Anybody who may write a Node wrote the text. */
function whyNoASN(name: string, text: string): string {
  const shown = JSON.stringify(text.slice(0, MOST_SHOWN));
  return `Node ${name}: annotation ${ASN_ANNOTATION} is ${shown}, no AS from 1 to ${MOST_ASN}: routing.asn counts for it; correct it, or kubectl annotate node ${name} ${ASN_ANNOTATION}-`;
}
