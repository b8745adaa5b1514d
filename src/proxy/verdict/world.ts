import { type Cidr, containsIP } from '../../net/cidr.ts';
import { type IP, isLoopback } from '../../net/ip.ts';
import { frontendKey } from '../claims.ts';
import type { LocalDetector } from '../node-addresses.ts';
import type { ResolvedFrontend, ResolvedPort } from '../state.ts';
import type { Origin, OriginSign, Packet } from './explanation.ts';
import type { ModeTraits } from './mode-traits.ts';

/** What of the node and its configuration decides about packets of one address family. */
export interface NodeWorld {
  /** Undefined: pods of this node cannot be told from others. */
  readonly localDetector: LocalDetector | undefined;
  readonly masqueradesAll: boolean;
  /** The addresses that accept NodePorts; undefined: all of the node's but loopback. */
  readonly nodePortIPs: readonly IP[] | undefined;
  /** Every address of this node's interfaces. */
  readonly localAddresses: readonly IP[];
  readonly serviceCIDRs: readonly Cidr[];
  /** Absent: as all modes mean it, which is what the rules of nftables do. */
  readonly traits?: ModeTraits;
  /**
   * Pods of this node that the CNI plugins masquerade (ipMasq), with the networks where they keep
   * their own address; absent: none.
   */
  readonly podMasquerades?: ReadonlyMap<IP, readonly Cidr[]>;
}

export interface OwnedFrontend {
  readonly resolved: ResolvedFrontend;
  readonly owner: ResolvedPort;
}

/** Everything `decide` looks at, indexed: Services as they are resolved, and the node. */
export interface World extends NodeWorld {
  /** By frontendKey. */
  readonly frontends: ReadonlyMap<string, OwnedFrontend>;
  /** The ServicePorts of each clusterIP. */
  readonly clusterIPs: ReadonlyMap<IP, readonly ResolvedPort[]>;
}

/** The world of these ServicePorts; those that a packet cannot meet may be left out. */
export function buildWorld(ports: Iterable<ResolvedPort>, node: NodeWorld): World {
  const frontends = new Map<string, OwnedFrontend>();
  const clusterIPs = new Map<IP, ResolvedPort[]>();
  for (const owner of ports) {
    for (const resolved of owner.frontends) {
      frontends.set(frontendKey(resolved.frontend), { resolved, owner });
    }
    const sharing = clusterIPs.get(owner.port.clusterIP) ?? [];
    clusterIPs.set(owner.port.clusterIP, [...sharing, owner]);
  }
  return { ...node, frontends, clusterIPs };
}

/** `172.30.0.1 tcp 80`: what the packet is looked up by. */
export function addressKeyOf({ destination, protocol, port }: Packet): string {
  return `${destination} ${protocol} ${port}`;
}

/** `tcp 30080` */
export function nodePortKeyOf({ protocol, port }: Packet): string {
  return `${protocol} ${port}`;
}

/** Whether NodePorts answer on this address. Loopback never does. */
export function acceptsNodePorts(world: NodeWorld, destination: IP): boolean {
  if (world.nodePortIPs !== undefined) return world.nodePortIPs.includes(destination);
  return world.localAddresses.includes(destination) && !isLoopback(destination);
}

/** Whether a process of this node sent the packet, as the routing table has it. */
export function isFromNode(world: NodeWorld, { source }: Packet): boolean {
  return isLoopback(source) || world.localAddresses.includes(source);
}

/** What makes the source a pod of this node for the rules; undefined when nothing does. */
export function podSign(
  { localDetector }: NodeWorld,
  { source, inInterface }: Packet,
): OriginSign | undefined {
  switch (localDetector?.kind) {
    case undefined:
      return undefined;
    case 'cidrs': {
      const cidr = localDetector.cidrs.find((network) => containsIP(network, source));
      return cidr === undefined ? undefined : { kind: 'podCIDR', cidr };
    }
    case 'bridge':
      return inInterface === localDetector.name
        ? { kind: 'podInterface', name: inInterface }
        : undefined;
    case 'interfacePrefix':
      return inInterface?.startsWith(localDetector.prefix)
        ? { kind: 'podInterface', name: inInterface }
        : undefined;
  }
}

/** Where the packet comes from, for people: an address of the node says more than its network. */
export function originOf(
  world: NodeWorld,
  packet: Packet,
): { readonly origin: Origin; readonly sign: OriginSign } {
  if (isFromNode(world, packet)) return { origin: 'node', sign: { kind: 'nodeAddress' } };
  const sign = podSign(world, packet);
  if (sign !== undefined) return { origin: 'pod', sign };
  const kind = world.localDetector === undefined ? 'noDetector' : 'noMatch';
  return { origin: 'outside', sign: { kind } };
}
