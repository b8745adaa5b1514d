/**
 * The table of one address family: `ip weft-proxy` or `ip6 weft-proxy`. Its chains, rules and sets
 * are the same for one Service and for ten thousand; Services live in map elements only. `VIP` is
 * `address . protocol . port`; NodePorts have maps of their own with `protocol . port`, not shown:
 *
 *     service-ips           VIP          -> goto n<N>, or goto check-clients
 *     endpoints             VIP . slot   -> endpoint address . port
 *     no-endpoint-services  VIP          -> drop, or goto reject-chain
 *     masqueraded-services  VIP          -> goto masquerade-all, or goto masquerade-node
 *
 * A slot is a number from 0 to N - 1. Chain n<N> draws one and rewrites the destination; there is
 * one such chain for every number N of endpoints that some Service has (slot-chains.ts). Only
 * frontends that ask who the client is lead to check-clients, where they have more elements:
 *
 *     source-ranges         VIP . range  clients that may use the address; others are dropped by
 *     rejected-sources      VIP          -> drop
 *     outside-services      VIP          -> goto l<N>, for clients that are neither this node nor
 *     local-endpoints       VIP . slot      its pods; goto refused-services without local endpoints,
 *                                           where no-endpoint-services has its say
 *     checked-services      VIP          -> goto n<N>, for all others
 *
 * Slot chains of Services with session affinity follow a memory first: see affinity-rules.ts.
 *
 * All of it happens in nat chains, at kube-proxy's hooks and priorities: packets of established
 * connections do not pass them. Refusing there takes kernel 5.9 (reject in prerouting).
 *
 * No packet marks: whether to masquerade is read at postrouting from the connection's original
 * destination, so the bit that others use for policy routing or their own NAT stays theirs.
 */

import type { IPFamily } from '../../../net/ip.ts';
import type { Table, TableDefinition } from '../../../nftables/model.ts';
import type { LayoutOptions } from '../../layout-options.ts';
import { fixedChains } from './fixed-chains.ts';
import { tableSets } from './sets.ts';

/** The table of a family. */
export function proxyTable(family: IPFamily): Table {
  const name = 'weft-proxy';
  return { family: family === 4 ? 'ip' : 'ip6', name, comment: 'Kubernetes Services' };
}

/** Everything of the table that depends neither on Services nor on the networks of the cluster. */
export function tableDefinition(options: LayoutOptions): TableDefinition {
  return {
    table: proxyTable(options.family),
    sets: tableSets(options),
    chains: fixedChains(options),
  };
}
