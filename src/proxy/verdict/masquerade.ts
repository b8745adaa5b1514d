import type { SliceEndpoint } from '../endpoints.ts';
import type { Masquerading } from '../state.ts';
import type { MasqueradeReason, Packet } from './explanation.ts';
import { isFromNode, type NodeWorld, podSign } from './world.ts';

/** A pod that reaches itself: replies would never leave it if they had its own address. */
export function isHairpin({ source }: Packet, target: SliceEndpoint): boolean {
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

export function masquerades(reason: MasqueradeReason): boolean {
  return reason !== 'noDetector' && reason !== 'fromPod' && reason !== 'sourceKept';
}
