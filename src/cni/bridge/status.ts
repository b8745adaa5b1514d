import type { NodeRtnl } from '../../kernel/types.ts';
import { ipFamily } from '../../net/ip.ts';
import { toError } from '../../util/errors.ts';
import { type ReservationOwner, withNftables, withRtnl } from '../node.ts';
import type { StatusCall } from '../plugin.ts';
import { CNI_ERROR_CODE, CniError } from '../protocol/errors.ts';
import { requiringNftables } from '../requires-nftables.ts';
import { type BridgeConfig, parseBridgeConfig } from './config.ts';
import { requireFabric } from './fabric.ts';
import { requireIptables } from './iptables-masquerade.ts';
import { MASQUERADE_TABLE } from './masquerade.ts';
import { requirePolicyGate } from './policy.ts';
import { requireForeign } from './reservations.ts';
import { forwardingSysctls } from './sysctls.ts';

/**
 * STATUS: code 50 when nothing on this node can work, 51 when pods that are there cannot reach what
 * they should. Reads only. A runtime takes any failure for a network that is not ready, and the kubelet
 * then takes the whole node for one, whose pods are evicted: so a node that is merely full, of addresses
 * or of ports of the bridge, is ready. The next ADD says what is missing, and its pod waits.
 */
export function status(call: StatusCall): void {
  const config = parseBridgeConfig(call.request);
  requireFabric(config, call.node, CNI_ERROR_CODE.pluginNotAvailable);
  requirePolicyGate(config, call.node);
  checkAddresses(call, config);
  withRtnl(call.node.kernel, undefined, (host) => checkBridge(host, config));
  if (config.ipMasq) checkMasqueradeBackend(call, config);
  const owners = ownersOf(call, config);
  if (owners.length === 0) return;
  checkForwarding(call, config, owners);
  const isElsewhere = call.node.isMasqueradedElsewhere ?? (() => false);
  const isOurs = owners.some(({ address }) => !isElsewhere(address));
  if (isOurs && config.ipMasq && config.ipMasqBackend === undefined) checkMasquerade(call);
}

function checkAddresses({ request, node }: StatusCall, config: BridgeConfig): void {
  const { ipam, foreignIpam: type } = config;
  const { network, cniVersion } = request;
  if (ipam !== undefined) node.ipam.status(network, ipam, { cniVersion });
  if (type !== undefined) requireForeign(node, type).status(request, type);
}

function checkBridge(host: NodeRtnl, { bridge: name }: BridgeConfig): void {
  const bridge = host.link(name);
  if (bridge === undefined) return;
  if (bridge.kind !== 'bridge') {
    throw unavailable(`"${name}" already exists but is not a bridge`);
  }
}

function checkMasqueradeBackend({ node }: StatusCall, { ipMasqBackend }: BridgeConfig): void {
  if (ipMasqBackend === undefined) checkNftables({ node });
  else if (requireIptables(node).save({ family: 4 }, 'nat') === undefined) {
    throw unavailable('ipMasqBackend "iptables": iptables-save is not installed on this node');
  }
}

function checkNftables({ node }: Pick<StatusCall, 'node'>): void {
  requiringNftables('ipMasq', () =>
    withNftables(node.kernel, (nft) => void nft.tables(MASQUERADE_TABLE.definition.table.family)),
  );
}

function ownersOf({ request, node }: StatusCall, { ipam }: BridgeConfig) {
  return ipam === undefined ? [] : node.ipam.owners(request.network, ipam.dataDir);
}

function checkForwarding(
  { node }: StatusCall,
  config: BridgeConfig,
  owners: readonly ReservationOwner[],
): void {
  if (!config.isGateway) return;
  const families = [...new Set(owners.map(({ address }) => ipFamily(address)))];
  for (const { path, value } of forwardingSysctls(families)) {
    const present = node.kernel.sysctls.read(undefined, path);
    if (present !== value) throw limited(`sysctl ${path} is ${present ?? 'missing'}, not ${value}`);
  }
}

function checkMasquerade({ node }: StatusCall): void {
  withNftables(node.kernel, (nft) => {
    if (!MASQUERADE_TABLE.isThere(nft)) {
      throw limited('ipMasq: pods are not masqueraded, table inet weft-cni is missing');
    }
  });
}

function unavailable(message: string, cause?: unknown): CniError {
  return new CniError(CNI_ERROR_CODE.pluginNotAvailable, message, detailsOf(cause), { cause });
}

function limited(message: string): CniError {
  return new CniError(CNI_ERROR_CODE.limitedConnectivity, message);
}

function detailsOf(cause: unknown): string | undefined {
  return cause === undefined ? undefined : toError(cause).message;
}
