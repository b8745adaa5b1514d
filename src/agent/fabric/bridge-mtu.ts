import type { NodeRtnl } from '../../kernel/types.ts';
import { BRIDGE_NAME } from './conflist.ts';
import type { FabricFacts } from './facts.ts';

/** Below it a link loses its IPv6 addresses (RFC 8200, section 5). */
const LEAST_MTU = 1_280;

/**
 * Gives the bridge of pods the MTU of the fabric: it was made with that of its time, and what is routed
 * to pods goes by it. Less at once; more only when no pod is left that takes less, because a bridge
 * drops what is too large for a port and tells nobody. Gives the MTU before, undefined for no change.
 */
export function followMtu(
  rtnl: Pick<NodeRtnl, 'link' | 'links' | 'changeLink'>,
  { mtu }: Pick<FabricFacts, 'mtu'>,
): number | undefined {
  const bridge = rtnl.link(BRIDGE_NAME);
  if (bridge?.kind !== 'bridge' || bridge.mtu === mtu || mtu < LEAST_MTU) return undefined;
  const ports = rtnl.links().filter(({ master }) => master === bridge.index);
  if (mtu > bridge.mtu && ports.some((port) => port.mtu < mtu)) return undefined;
  rtnl.changeLink(bridge.index, { mtu });
  return bridge.mtu;
}
