import type { NodeRtnl } from '../../kernel/types.ts';
import type { IP } from '../../net/ip.ts';
import type { TeardownConfig } from './config.ts';
import { deleteProxy } from './same-node.ts';
import { vlanGatewayName } from './vlan-gateway.ts';

/** Removes what the node knows of these pod addresses, and answers for them no longer; nothing known is no error. */
export function forgetNeighbours(
  host: NodeRtnl,
  { bridge, vlan }: TeardownConfig,
  addresses: readonly IP[],
): void {
  if (addresses.length === 0) return;
  const names = vlan === undefined ? [bridge] : [bridge, vlanGatewayName(bridge, vlan)];
  for (const link of names.flatMap((name) => host.link(name) ?? [])) {
    for (const address of addresses) {
      deleteProxy(host, link.index, address);
      host.deleteNeighbour(link.index, address);
    }
  }
}
