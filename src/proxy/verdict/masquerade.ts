import { containsIP } from '../../net/cidr.ts';
import type { SliceEndpoint } from '../endpoints.ts';
import type { Masquerading } from '../state.ts';
import type { MasqueradeReason, Packet } from './explanation.ts';
import { isFromNode, type NodeWorld, podSign } from './world.ts';

/** A pod that reaches itself: replies would never leave it if they had its own address. */
function isHairpin({ source }: Packet, target: SliceEndpoint): boolean {
  return target.isLocal && source === target.ip;
}

/** What decides about the source address for endpoints that are not the client itself. */
export function masqueradeReason(
  packet: Packet,
  world: NodeWorld,
  masquerading: Masquerading,
): MasqueradeReason {
  switch (masquerading) {
    case 'always':
      return 'externalCluster';
    case 'node':
      return isFromNode(world, packet) ? 'fromNode' : 'sourceKept';
    case 'offCluster':
      if (world.masqueradesAll) return 'masqueradeAll';
      if (world.localDetector === undefined) return 'noDetector';
      return podSign(world, packet) === undefined ? 'offCluster' : 'fromPod';
  }
}

/** The same for one endpoint, with what the mode and the CNI plugins add. */
export function sourceReason(
  packet: Packet,
  world: NodeWorld,
  target: SliceEndpoint,
  usual: MasqueradeReason,
): MasqueradeReason {
  if (world.traits?.isForwarder === true) return 'forwarded';
  if (isHairpin(packet, target)) return 'hairpin';
  return !masquerades(usual) && isMasqueradedByPlugin(packet, world, target) ? 'ipMasq' : usual;
}

/** What is delivered to the node itself is not sent, and so keeps its source. */
function isMasqueradedByPlugin(
  { source }: Packet,
  { podMasquerades, localAddresses }: NodeWorld,
  { ip }: SliceEndpoint,
): boolean {
  const exempt = podMasquerades?.get(source);
  if (exempt === undefined || localAddresses.includes(ip)) return false;
  return !exempt.some((network) => containsIP(network, ip));
}

export function masquerades(reason: MasqueradeReason): boolean {
  return reason !== 'noDetector' && reason !== 'fromPod' && reason !== 'sourceKept';
}
