import { hostVethName } from '../../cni/attachment.ts';
import type { NodeRtnl } from '../../kernel/types.ts';
import { containsIP } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import { specialKind } from '../../net/special.ts';
import { BRIDGE_NAME } from './conflist.ts';
import type { FabricFacts } from './facts.ts';
import type { PodRecord } from './former-pods.ts';

/**
 * Takes gateways of former podCIDRs from the bridge, whose networks another node may have by now: this
 * node would look for its pods on the bridge. Only where every port of the bridge is a pod's that is
 * on record, and none of them has an address there. Gives what was removed.
 */
export function removeFormerGateways(
  rtnl: Pick<NodeRtnl, 'link' | 'links' | 'addresses' | 'deleteAddress'>,
  { podCIDRs }: Pick<FabricFacts, 'podCIDRs'>,
  records: readonly PodRecord[],
): readonly IP[] {
  const bridge = rtnl.link(BRIDGE_NAME);
  if (bridge?.kind !== 'bridge') return [];
  const former = rtnl
    .addresses(bridge.index)
    .filter(({ address }) => specialKind(address) !== 'link-local')
    .filter(({ address }) => !podCIDRs.some((cidr) => containsIP(cidr, address)));
  if (former.length === 0) return [];
  const known = new Set(records.map(({ attachment }) => hostVethName(attachment)));
  const ports = rtnl.links().filter(({ master }) => master === bridge.index);
  if (!ports.every(({ name }) => known.has(name))) return [];
  for (const each of former) rtnl.deleteAddress(bridge.index, each);
  return former.map(({ address }) => address);
}
