import type { ClusterPeer, NamespacedPods, NetworkPolicyPeer } from '../kube/policy/types.ts';
import { type Cidr, containsIP, tryParseCidr } from '../net/cidr.ts';
import { type IP, type IPFamily, ipFamily } from '../net/ip.ts';
import { digestOf } from './ids.ts';
import type { Party, PodParty } from './parties.ts';
import { labelMatcher, selectorKey } from './selectors.ts';

/** Whom a rule names. Two with the same `key` name the same. */
export type RulePeer =
  | {
      readonly kind: 'parties';
      readonly key: string;
      /** Else nodes. */
      readonly isPods: boolean;
      readonly isMeant: (party: Party) => boolean;
    }
  | {
      readonly kind: 'block';
      readonly key: string;
      readonly parts: readonly BlockPart[];
    };

export interface BlockPart {
  readonly inside: readonly Cidr[];
  /** Exceptions hold for this part only. */
  readonly outside: readonly Cidr[];
}

export type RulePeers = 'everybody' | readonly RulePeer[];

/** Peers of a rule in a namespace; none means everybody. */
export function policyPeers(peers: readonly NetworkPolicyPeer[], namespace: string): RulePeers {
  if (peers.length === 0) return 'everybody';
  return peers.flatMap((peer) => policyPeer(peer, namespace) ?? []);
}

/** Undefined for a kind of peer that a newer API may have: it allows nobody. */
function policyPeer(peer: NetworkPolicyPeer, namespace: string): RulePeer | undefined {
  const { podSelector, namespaceSelector, ipBlock } = peer;
  if (ipBlock !== undefined) return blockPeer([ipBlock.cidr], ipBlock.except);
  if (podSelector === undefined && namespaceSelector === undefined) return undefined;
  const isPod = podSelector === undefined ? () => true : labelMatcher(podSelector);
  const podKey = podSelector === undefined ? '*' : selectorKey(podSelector);
  if (namespaceSelector === undefined) {
    const isMeant = (pod: PodParty) => pod.namespace === namespace && isPod(pod.labels);
    return podsPeer(`pods ${podKey} in ${namespace}`, isMeant);
  }
  const isNamespace = labelMatcher(namespaceSelector);
  return podsPeer(
    `pods ${podKey} of ${selectorKey(namespaceSelector)}`,
    (pod) => isNamespace(pod.namespaceLabels) && isPod(pod.labels),
  );
}

/** Undefined with a kind of peer that is not known. */
export function clusterPeers(peers: readonly ClusterPeer[]): readonly RulePeer[] | undefined {
  const known = peers.flatMap((peer) => clusterPeer(peer) ?? []);
  return known.length === peers.length ? known : undefined;
}

function clusterPeer(peer: ClusterPeer): RulePeer | undefined {
  switch (peer.kind) {
    case 'namespaces':
      return podsPeer(`pods * of ${selectorKey(peer.selector)}`, podSelection(peer));
    case 'pods': {
      const { podSelector, namespaceSelector } = peer.pods;
      const key = `pods ${selectorKey(podSelector)} of ${selectorKey(namespaceSelector)}`;
      return podsPeer(key, podSelection(peer));
    }
    case 'nodes': {
      const isNode = labelMatcher(peer.selector);
      const isMeant = (party: Party) => party.kind === 'node' && isNode(party.labels);
      return {
        kind: 'parties',
        key: `nodes ${selectorKey(peer.selector)}`,
        isPods: false,
        isMeant,
      };
    }
    case 'networks':
      return blockPeer(peer.cidrs, []);
    case 'unknown':
      return undefined;
  }
}

/** Whether a party is meant, in one address family; by address, whoever has it, in a block. */
export function isPeerOf(peers: RulePeers, party: Party, family: IPFamily): boolean {
  if (peers === 'everybody') return true;
  return peers.some((peer) =>
    peer.kind === 'parties'
      ? peer.isMeant(party)
      : party.ips.some((ip) => ipFamily(ip) === family && isInBlock(peer, ip)),
  );
}

function isInBlock({ parts }: Extract<RulePeer, { kind: 'block' }>, ip: IP): boolean {
  const isIn = (cidrs: readonly Cidr[]) => cidrs.some((cidr) => containsIP(cidr, ip));
  return parts.some(({ inside, outside }) => isIn(inside) && !isIn(outside));
}

/** All blocks as one peer. */
export function joinedBlocks(peers: readonly RulePeer[]): readonly RulePeer[] {
  const blocks = peers.filter((peer) => peer.kind === 'block');
  if (blocks.length < 2) return peers;
  const parts = blocks.flatMap((block) => block.parts);
  const keys = new Set(blocks.map(({ key }) => key));
  const key = `blocks ${digestOf([...keys].toSorted().join())}`;
  return [...peers.filter(({ kind }) => kind !== 'block'), { kind: 'block', key, parts }];
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

function podsPeer(key: string, isMeant: (pod: PodParty) => boolean): RulePeer {
  return {
    kind: 'parties',
    key,
    isPods: true,
    isMeant: (party) => party.kind === 'pod' && isMeant(party),
  };
}

function blockPeer(cidrs: readonly string[], except: readonly string[]): RulePeer {
  const inside = blocks(cidrs).toSorted();
  const outside = blocks(except).toSorted();
  return { kind: 'block', key: `block ${inside} except ${outside}`, parts: [{ inside, outside }] };
}

function blocks(texts: readonly string[]): readonly Cidr[] {
  return texts.flatMap((text) => tryParseCidr(text) ?? []);
}
