/** Rules in words: who may send what to whom. */
import type {
  ClusterNetworkPolicy,
  ClusterPeer,
  ClusterProtocol,
  Direction,
  LabelRequirement,
  LabelSelector,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
} from '../kube/policy/types.ts';

/** A rule may have thousands of peers. */
const MOST_NAMED = 10;

/** `TCP 80 from pods app=web in namespace shop`; what there is none of means everything. */
export function ruleWords(
  policy: NetworkPolicy | ClusterNetworkPolicy,
  direction: Direction,
  index: number,
): string {
  if ('tier' in policy) return clusterRuleWords(policy, direction, index);
  const { peers = [], ports = [] } = policy.rules[direction]?.[index] ?? {};
  const { namespace } = policy.metadata;
  const traffic = ports.length === 0 ? 'everything' : listed(ports.map(portWords));
  const whom = peers.map((peer) => peerWords(peer, namespace));
  return sentence(traffic, direction, whom.length === 0 ? 'everybody' : listed(whom));
}

function clusterRuleWords(
  policy: ClusterNetworkPolicy,
  direction: Direction,
  index: number,
): string {
  const { action = 'Deny', peers = [], protocols = [] } = policy.rules[direction][index] ?? {};
  const unknown = [...peers, ...protocols].find((entry) => entry.kind === 'unknown');
  if (unknown?.kind === 'unknown') {
    return `${action === 'Accept' ? 'nothing' : 'everything'}: ${unknown.what} is not supported`;
  }
  const traffic = protocols.length === 0 ? 'everything' : listed(protocols.flatMap(protocolWords));
  return sentence(traffic, direction, listed(peers.flatMap(clusterPeerWords)));
}

function sentence(traffic: string, direction: Direction, peers: string): string {
  return `${traffic} ${direction === 'ingress' ? 'from' : 'to'} ${peers}`;
}

function portWords({ protocol, port, endPort }: NetworkPolicyPort): string {
  if (protocol === undefined) return 'nothing (its protocol is not known)';
  if (port === undefined) return `all ${protocol}`;
  if (typeof port === 'string') return `${protocol} "${port}"`;
  return rangeWords(protocol, port, endPort ?? port);
}

function protocolWords(entry: ClusterProtocol): readonly string[] {
  switch (entry.kind) {
    case 'ports':
      return entry.range === undefined
        ? [`all ${entry.protocol}`]
        : [rangeWords(entry.protocol, ...entry.range)];
    case 'named':
      return [`ports "${entry.name}"`];
    case 'unknown':
      return [];
  }
}

function rangeWords(protocol: string, first: number, last: number): string {
  return first === last ? `${protocol} ${first}` : `${protocol} ${first}-${last}`;
}

function peerWords(
  { podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer,
  own: string,
): string {
  if (ipBlock !== undefined) {
    const except = ipBlock.except.length === 0 ? '' : ` except ${listed(ipBlock.except)}`;
    return `${ipBlock.cidr}${except}`;
  }
  if (podSelector === undefined && namespaceSelector === undefined) {
    return 'nobody (a peer that is not known here)';
  }
  const pods = podSelector === undefined ? 'every pod' : podWords(podSelector);
  return namespaceSelector === undefined
    ? `${pods} in namespace ${own}`
    : `${pods} ${namespaceWords(namespaceSelector)}`;
}

function clusterPeerWords(peer: ClusterPeer): readonly string[] {
  switch (peer.kind) {
    case 'namespaces':
      return [`every pod ${namespaceWords(peer.selector)}`];
    case 'pods':
      return [`${podWords(peer.pods.podSelector)} ${namespaceWords(peer.pods.namespaceSelector)}`];
    case 'nodes':
      return [isEverything(peer.selector) ? 'every node' : `nodes ${selectorWords(peer.selector)}`];
    case 'networks':
      return peer.cidrs;
    case 'unknown':
      return [];
  }
}

function podWords(selector: LabelSelector): string {
  return isEverything(selector) ? 'every pod' : `pods ${selectorWords(selector)}`;
}

function namespaceWords(selector: LabelSelector): string {
  return isEverything(selector) ? 'in every namespace' : `in namespaces ${selectorWords(selector)}`;
}

function isEverything({ matchLabels, matchExpressions }: LabelSelector): boolean {
  return Object.keys(matchLabels).length === 0 && matchExpressions.length === 0;
}

/** As kubectl spells selectors. */
function selectorWords({ matchLabels, matchExpressions }: LabelSelector): string {
  const equal = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  return [...equal, ...matchExpressions.map(requirementWords)].join(',');
}

function requirementWords({ key, operator, values }: LabelRequirement): string {
  switch (operator) {
    case 'In':
      return `${key} in (${values.join(',')})`;
    case 'NotIn':
      return `${key} notin (${values.join(',')})`;
    case 'Exists':
      return key;
    case 'DoesNotExist':
      return `!${key}`;
  }
}

function listed(words: readonly string[]): string {
  const more = words.length - MOST_NAMED;
  const named = words.slice(0, MOST_NAMED).join(', ');
  return more <= 0 ? named : `${named} and ${more} more`;
}
