import { type Cidr, cidrFamily, containsIP } from '../net/cidr.ts';
import { type IP, type IPFamily, ipFamily } from '../net/ip.ts';
import { ownNode } from './advertised.ts';
import { symbolOf } from './bird-text.ts';
import type { RoutedNode, RoutingFacts } from './facts.ts';
import { selectsNode } from './node-selector.ts';
import type { BgpSettings, Community, ImportedNetwork, PeerSettings } from './settings.ts';

/** Whom this node talks BGP to over one family: a protocol of BIRD's. */
export interface Session {
  /** BIRD's name of it. */
  readonly symbol: string;
  /** The node or the configured neighbour. */
  readonly name: string;
  readonly kind: 'node' | 'reflector' | 'client' | 'router';
  readonly family: IPFamily;
  readonly address: IP;
  /** Of this node's end; absent: what the kernel takes. */
  readonly localAddress?: IP;
  readonly localASN: number;
  readonly asn: number;
  /** Routers in between plus one; absent: the neighbour is on a link of this node. */
  readonly multihop?: number;
  readonly bfd: boolean;
  readonly password?: string;
  /** This node passes on there what others tell it. */
  readonly reflects: boolean;
  /** What may come from there. */
  readonly imports: readonly ImportedNetwork[];
  readonly communities: readonly Community[];
}

export interface Sessions {
  readonly sessions: readonly Session[];
  /** Why some neighbour has none, in words with the cure. */
  readonly problems: readonly string[];
}

/** More nodes in a mesh than this is a number of sessions that grows out of hand. */
const MOST_IN_MESH = 50;
/** Nodes behind routers of the site: any number of them. */
const FAR = 64;

/** Whom this node talks to, in order. */
export function sessionsOf(settings: BgpSettings, facts: RoutingFacts): Sessions {
  const own = ownNode(facts);
  if (own === undefined) {
    return { sessions: [], problems: [`no Node "${facts.nodeName}" yet: BGP waits for it`] };
  }
  const problems: string[] = [];
  const sessions = [
    ...nodeSessions(settings, facts, own, problems),
    ...settings.peers.flatMap((peer) => peerSession(peer, settings, facts, own, problems)),
  ];
  return { sessions, problems };
}

function nodeSessions(
  settings: BgpSettings,
  facts: RoutingFacts,
  own: RoutedNode,
  problems: string[],
): readonly Session[] {
  const { topology, reflectors } = settings;
  if (topology === 'none') return [];
  const others = facts.nodes.filter(({ name }) => name !== own.name);
  if (topology === 'mesh') {
    if (facts.nodes.length > MOST_IN_MESH) {
      problems.push(
        `${facts.nodes.length} nodes in a BGP mesh, which is meant for ${MOST_IN_MESH}: label some as reflectors and set routing.topology: reflectors`,
      );
    }
    return others.flatMap((node) => sessionsWith(node, 'node', { settings, facts, own }));
  }
  const isReflector = (node: RoutedNode) => selectsNode(reflectors, node.labels);
  if (!facts.nodes.some(isReflector)) {
    problems.push(
      `no Node has the labels of routing.reflectors (${reflectors.text}): label at least one`,
    );
  }
  const kindOf = (node: RoutedNode) => {
    if (isReflector(node)) return 'reflector' as const;
    return isReflector(own) ? ('client' as const) : undefined;
  };
  return others.flatMap((node) => {
    const kind = kindOf(node);
    const reflects = isReflector(own);
    return kind === undefined ? [] : sessionsWith(node, kind, { settings, facts, own, reflects });
  });
}

interface Side {
  readonly settings: BgpSettings;
  readonly facts: RoutingFacts;
  readonly own: RoutedNode;
  readonly reflects?: boolean;
}

/** One for each family that both have. */
function sessionsWith(
  node: RoutedNode,
  kind: Session['kind'],
  { settings, facts, own, reflects = false }: Side,
): readonly Session[] {
  return facts.families.flatMap((family) => {
    const address = node.addresses.find((ip) => ipFamily(ip) === family);
    const localAddress = own.addresses.find((ip) => ipFamily(ip) === family);
    if (address === undefined || localAddress === undefined) return [];
    const networks = kind === 'reflector' ? podCIDRsOf(facts, own) : node.podCIDRs;
    return [
      {
        ...{ symbol: symbolOf(`node${family}`, node.name), name: node.name, kind, family },
        ...{ address, localAddress, bfd: settings.bfd, communities: [], reflects },
        localASN: own.asn ?? settings.asn,
        asn: node.asn ?? settings.asn,
        ...(isOnLink(address, facts) ? {} : { multihop: FAR }),
        imports: exactly(networks, family),
      },
    ];
  });
}

/** Of all other nodes: a reflector passes on what they tell, and nothing else is believed. */
function podCIDRsOf({ nodes }: RoutingFacts, own: RoutedNode): readonly Cidr[] {
  return nodes.filter(({ name }) => name !== own.name).flatMap(({ podCIDRs }) => podCIDRs);
}

function exactly(networks: readonly Cidr[], family: IPFamily): readonly ImportedNetwork[] {
  return networks
    .filter((network) => cidrFamily(network) === family)
    .map((network) => ({ network, longest: Number(network.slice(network.indexOf('/') + 1)) }));
}

function peerSession(
  peer: PeerSettings,
  settings: BgpSettings,
  facts: RoutingFacts,
  own: RoutedNode,
  problems: string[],
): readonly Session[] {
  const { name, address, asn, multihop, bfd, communities, passwordFile } = peer;
  if (!selectsNode(peer.nodes, own.labels)) return [];
  const family = ipFamily(address);
  if (!facts.families.includes(family)) {
    problems.push(`BGP neighbour ${name}: this node has no IPv${family}`);
    return [];
  }
  const password = facts.passwords.get(name);
  // The problem is told by who reads the file.
  if (passwordFile !== undefined && password === undefined) return [];
  if (multihop === undefined && !isOnLink(address, facts)) {
    problems.push(
      `BGP neighbour ${name}: ${address} is on no link of this node; set its multihop, or correct its address or nodes`,
    );
  }
  const localAddress = own.addresses.find((ip) => ipFamily(ip) === family);
  const imports = peer.imports.filter(({ network }) => cidrFamily(network) === family);
  return [
    {
      ...{ symbol: symbolOf('peer', name), name, kind: 'router', family, address, asn, bfd },
      ...{ imports, communities, reflects: false },
      localASN: peer.localASN ?? own.asn ?? settings.asn,
      // On a link of ours the kernel knows the right address.
      ...(multihop === undefined ? {} : { multihop, ...(localAddress && { localAddress }) }),
      ...(password === undefined ? {} : { password }),
    },
  ];
}

function isOnLink(address: IP, { linkNetworks }: RoutingFacts): boolean {
  return linkNetworks.some((network) => containsIP(network, address));
}
