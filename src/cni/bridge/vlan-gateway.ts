/** The node's foot in a VLAN of a bridge: a veth pair between the node and an access port. */
import { ConfigError } from '../../util/errors.ts';
import { hostVethName, vethMacs } from '../attachment.ts';
import type { VlanGatewayPlan } from '../node-plan.ts';
import { interfaceNameProblem } from '../protocol/request.ts';
import type { BridgeConfig } from './config.ts';
import { acceptNoRouterAdvertisements } from './sysctls.ts';

/** Name of the link that holds the gateway addresses of a VLAN. */
export function vlanGatewayName(bridge: string, vlan: number): string {
  return `${bridge}.${vlan}`;
}

/**
 * Undefined when the bridge itself is the gateway, or nobody is. Shared by all pods of the VLAN and
 * never deleted, because the next of them may be on its way. Throws ConfigError for names that are
 * too long.
 */
export function vlanGateway(
  config: Pick<BridgeConfig, 'bridge' | 'vlan' | 'isGateway' | 'preserveDefaultVlan'>,
  gateways: Pick<VlanGatewayPlan, 'addresses' | 'mayReplaceAddresses'>,
  nodeId: string,
): VlanGatewayPlan | undefined {
  const { bridge, vlan } = config;
  if (vlan === undefined || !config.isGateway) return undefined;
  const name = vlanGatewayName(bridge, vlan);
  const problem = interfaceNameProblem(name);
  if (problem !== undefined) {
    throw new ConfigError('bridge', `bridge "${bridge}": gateway link "${name}": ${problem.text}`);
  }
  const identity = { network: nodeId, containerId: bridge, ifName: name };
  const macs = vethMacs(identity);
  return {
    name,
    mac: macs.pod,
    port: { name: hostVethName(identity), mac: macs.host },
    vlan,
    keepsDefaultVlan: config.preserveDefaultVlan,
    ...gateways,
    sysctls: [acceptNoRouterAdvertisements(name)],
  };
}
