import { ipFamily } from '../../net/ip.ts';
import { frontendKey, frontendsOf } from '../claims.ts';
import { type ProxySnapshot, resolveSnapshot } from '../snapshot.ts';
import type { Packet } from './explanation.ts';
import { addressKeyOf, buildWorld, type NodeWorld, nodePortKeyOf, type World } from './world.ts';

/** The part of a snapshot that this packet can meet; the cost of resolving the rest is spared. */
export function worldOfPacket(
  snapshot: ProxySnapshot,
  packet: Packet,
  node: Pick<NodeWorld, 'localAddresses' | 'traits' | 'podMasquerades'>,
): World {
  const keys = new Set([addressKeyOf(packet), nodePortKeyOf(packet)]);
  const resolved = resolveSnapshot(
    snapshot,
    (port) =>
      port.clusterIP === packet.destination ||
      frontendsOf(port).some((frontend) => keys.has(frontendKey(frontend))),
  );
  const { layout, nodePortIPs } = snapshot.settings;
  return buildWorld([...resolved.values()].flat(), {
    ...node,
    localDetector: layout.localDetector,
    masqueradesAll: layout.masqueradesAll,
    nodePortIPs: layout.acceptsOnAllAddresses ? undefined : nodePortIPs,
    localAddresses: node.localAddresses.filter((ip) => ipFamily(ip) === snapshot.family),
    serviceCIDRs: layout.serviceCIDRs,
  });
}
