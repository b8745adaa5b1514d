/** Where a connection goes after all translation of this node: Services, host ports, masquerade. Pure. */
import type { HostPort, HostPortRecord } from '../../../cni/host-ports.ts';
import { type Cidr, containsIP } from '../../../net/cidr.ts';
import { type IP, isLoopback } from '../../../net/ip.ts';
import type { Explanation, Packet } from '../../../proxy/verdict/explanation.ts';
import type { Place } from './way.ts';

/** A port of the node that leads to a pod. */
export interface MetHostPort {
  /** `namespace/name`, or the container. */
  readonly pod: string;
  readonly target: IP;
  readonly port: number;
}

export interface Places {
  /** Those that get most connections go first. */
  readonly places: readonly Place[];
  /** What is not told for lack of room. */
  readonly more: number;
  readonly hostPort?: MetHostPort;
  /** No Service, but the CNI or the fabric replaces the client's address. */
  readonly isPodMasquerade?: true;
}

export interface PlaceFacts {
  readonly localAddresses: readonly IP[];
  readonly hostPorts: () => readonly HostPortRecord[];
  /** Pods that are masqueraded, with the networks where they keep their own address. */
  readonly podMasquerades: ReadonlyMap<IP, readonly Cidr[]>;
}

const MOST_PLACES = 10;

export function placesOf({ packet, verdict }: Explanation, facts: PlaceFacts): Places {
  switch (verdict.kind) {
    case 'dnat': {
      const used = verdict.candidates
        .filter(({ probability }) => probability > 0)
        .toSorted((a, b) => b.probability - a.probability);
      const places = used.slice(0, MOST_PLACES);
      return {
        places: places.map(({ ip, port, isMasqueraded, because }) => ({
          ...{ ip, port, isMasqueraded },
          ...(because === 'forwarded' ? { isForwarded: true } : {}),
        })),
        more: used.length - places.length,
      };
    }
    case 'pass':
      return placeWithoutService(packet, facts);
    default:
      return { places: [], more: 0 };
  }
}

/** The portmap member does not see what a Service has taken. */
function placeWithoutService(packet: Packet, facts: PlaceFacts): Places {
  const { destination, port } = packet;
  const hostPort = facts.localAddresses.includes(destination)
    ? hostPortOf(packet, facts.hostPorts())
    : undefined;
  if (hostPort !== undefined) {
    const { target, port: targetPort, isMasqueraded, pod } = hostPort;
    return {
      places: [{ ip: target, port: targetPort, isMasqueraded }],
      more: 0,
      hostPort: { pod, target, port: targetPort },
    };
  }
  const exempt = facts.podMasquerades.get(packet.source);
  const isMasqueraded =
    exempt !== undefined &&
    !facts.localAddresses.includes(destination) &&
    !exempt.some((network) => containsIP(network, destination));
  return {
    places: [{ ip: destination, port, isMasqueraded }],
    more: 0,
    ...(isMasqueraded ? { isPodMasquerade: true } : {}),
  };
}

function hostPortOf(packet: Packet, records: readonly HostPortRecord[]) {
  const isMet = ({ protocol, port, address }: HostPort) =>
    protocol === packet.protocol &&
    port === packet.port &&
    (address === undefined || address === packet.destination);
  for (const { ports, pod, pods, masquerade, attachment } of records) {
    const met = ports.find((each) => isMet(each) && isOneFamily(each, packet));
    if (met === undefined) continue;
    const subnet = pods.find(({ address }) => address === met.target)?.subnet;
    const isNeighbour = subnet !== undefined && containsIP(subnet, packet.source);
    return {
      pod: pod ?? attachment.containerId,
      target: met.target,
      port: met.targetPort,
      isMasqueraded:
        masquerade === 'all' ||
        (masquerade === 'subnet' && (isNeighbour || isLoopback(packet.source))),
    };
  }
  return undefined;
}

function isOneFamily({ family }: HostPort, { destination }: Packet): boolean {
  return family === (destination.includes(':') ? 6 : 4);
}
