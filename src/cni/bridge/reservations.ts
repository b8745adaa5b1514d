/** Where the addresses of a pod come from and go back to. */
import type { IP } from '../../net/ip.ts';
import type { CniNode, ForeignIpam, Lease } from '../node.ts';
import type { PluginCall } from '../plugin.ts';
import { unsupportedField } from '../protocol/errors.ts';
import { formatResult } from '../protocol/result.ts';
import type { UndoList } from '../undo.ts';
import type { BridgeConfig, TeardownConfig } from './config.ts';

/**
 * Reserves addresses; none for a layer 2 network. What the attachment has reserved already is taken
 * over when it is a leftover, and an error otherwise. Throws CniError, ConfigError and BusyError.
 */
export function reserve(
  { request, node, attachment }: PluginCall,
  config: BridgeConfig,
  undo: UndoList,
  isLeftover: () => boolean,
): Lease {
  const { ipam, foreignIpam: type } = config;
  const { cniVersion } = request;
  if (type !== undefined) {
    const foreign = requireForeign(node, type);
    const lease = foreign.add(request, type);
    undo.push(() => foreign.del(request, type));
    if (lease.ips.length === 0) throw new Error('IPAM plugin returned missing IP config');
    return lease;
  }
  if (ipam === undefined) {
    // Known before anything is made: versions below 0.3.0 have no result without an address.
    formatResult({ interfaces: [], ips: [], routes: [], dns: {} }, cniVersion);
    return { ips: [], dns: {} };
  }
  const { requestedIPs } = config;
  const lease = node.ipam.reserve(attachment, ipam, { requestedIPs, cniVersion, isLeftover });
  undo.push(() => node.ipam.release(attachment, ipam.dataDir));
  return lease;
}

/** Addresses of the attachment as far as they are known without its link. */
export function heldAddresses({ node, attachment }: PluginCall, config: TeardownConfig) {
  return isHostLocal(config) ? node.ipam.held(attachment, config.dataDir) : NO_ADDRESSES;
}

/** Gives the addresses back; nothing held is no error. */
export function releaseAddresses(
  { request, node, attachment }: PluginCall,
  config: TeardownConfig,
) {
  const { ipamType } = config;
  if (isHostLocal(config)) node.ipam.release(attachment, config.dataDir);
  if (ipamType === undefined || ipamType === 'host-local') return;
  requireForeign(node, ipamType).del(request, ipamType);
}

/** The source of another type. Throws CniError 2 where there is none. */
export function requireForeign(node: CniNode, type: string): ForeignIpam {
  if (node.foreignIpam === undefined) throw unsupportedField('ipam.type', type);
  return node.foreignIpam;
}

/** Reservations may be there although the configuration has lost its `ipam`. */
export function isHostLocal({ ipamType }: TeardownConfig): boolean {
  return ipamType === undefined || ipamType === 'host-local';
}

const NO_ADDRESSES: readonly IP[] = [];
