import type {
  ClusterPeer,
  LabelSelector,
  NamespacedPods,
  NetworkPolicyPeer,
} from '../kube/policy/types.ts';
import { type Cidr, containsIP, tryParseCidr } from '../net/cidr.ts';
import { type IP, type IPFamily, ipFamily } from '../net/ip.ts';
import type { Party, PodParty } from './parties.ts';
import { labelMatcher } from './selectors.ts';

/** Whether a party is meant, in one address family. */
export type PeerMatcher = (party: Party, family: IPFamily) => boolean;

/** Peers of a rule in a namespace; none means everybody. */
export function peersMatcher(peers: readonly NetworkPolicyPeer[], namespace: string): PeerMatcher {
  if (peers.length === 0) return () => true;
  const matchers = peers.map((peer) => peerMatcher(peer, namespace));
  return (party, family) => matchers.some((matches) => matches(party, family));
}

function peerMatcher(peer: NetworkPolicyPeer, namespace: string): PeerMatcher {
  const { podSelector, namespaceSelector, ipBlock } = peer;
  if (ipBlock !== undefined) return blockMatcher([ipBlock.cidr], ipBlock.except);
  // A kind of peer that a newer API may have: it allows nobody.
  if (podSelector === undefined && namespaceSelector === undefined) return () => false;
  const isPod = podSelector === undefined ? () => true : labelMatcher(podSelector);
  if (namespaceSelector === undefined) {
    return podMatcher((pod) => pod.namespace === namespace && isPod(pod.labels));
  }
  const isNamespace = labelMatcher(namespaceSelector);
  return podMatcher((pod) => isNamespace(pod.namespaceLabels) && isPod(pod.labels));
}

/** Undefined for a kind of peer that is not known. */
export function clusterPeerMatcher(peer: ClusterPeer): PeerMatcher | undefined {
  switch (peer.kind) {
    case 'namespaces':
    case 'pods':
      return podMatcher(podSelection(peer));
    case 'nodes':
      return nodeMatcher(peer.selector);
    case 'networks':
      return blockMatcher(peer.cidrs, []);
    case 'unknown':
      return undefined;
  }
}

type PodPeer = Extract<ClusterPeer, { kind: 'namespaces' | 'pods' }>;

export function podSelection(peer: PodPeer): (pod: PodParty) => boolean {
  if (peer.kind === 'pods') return namespacedPods(peer.pods);
  const isNamespace = labelMatcher(peer.selector);
  return (pod) => isNamespace(pod.namespaceLabels);
}

function namespacedPods({ namespaceSelector, podSelector }: NamespacedPods) {
  const isNamespace = labelMatcher(namespaceSelector);
  const isPod = labelMatcher(podSelector);
  return (pod: PodParty) => isNamespace(pod.namespaceLabels) && isPod(pod.labels);
}

function podMatcher(isMeant: (pod: PodParty) => boolean): PeerMatcher {
  return (party) => party.kind === 'pod' && isMeant(party);
}

function nodeMatcher(selector: LabelSelector): PeerMatcher {
  const isNode = labelMatcher(selector);
  return (party) => party.kind === 'node' && isNode(party.labels);
}

/** By address, whoever has it: pods and nodes too. Exceptions hold for this block only. */
function blockMatcher(cidrs: readonly string[], except: readonly string[]): PeerMatcher {
  const inside = blocks(cidrs);
  const outside = blocks(except);
  const isIn = (ip: IP) =>
    inside.some((cidr) => containsIP(cidr, ip)) && !outside.some((cidr) => containsIP(cidr, ip));
  return (party, family) => party.ips.some((ip) => ipFamily(ip) === family && isIn(ip));
}

function blocks(texts: readonly string[]): readonly Cidr[] {
  return texts.flatMap((text) => tryParseCidr(text) ?? []);
}
