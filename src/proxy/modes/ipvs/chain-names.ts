/** The names of chains, kube-proxy's where it has such (pkg/proxy/ipvs/proxier.go). */

import type { TableName } from '../../../iptables/model.ts';
import { CHAIN, isOwnChain } from '../iptables/chain-names.ts';

/** Chains that the iptables mode does not have. */
export const IPVS_CHAIN = {
  nodePort: 'KUBE-NODE-PORT',
  loadBalancer: 'KUBE-LOAD-BALANCER',
  sourceRanges: 'KUBE-SOURCE-RANGES-FIREWALL',
  filter: 'KUBE-IPVS-FILTER',
  outside: 'KUBE-IPVS-OUTSIDE',
  /** Of kube-proxy alone. */
  outFilter: 'KUBE-IPVS-OUT-FILTER',
} as const;

const ONLY_IPVS: Readonly<Record<TableName, readonly string[]>> = {
  filter: [
    IPVS_CHAIN.nodePort,
    IPVS_CHAIN.sourceRanges,
    IPVS_CHAIN.filter,
    IPVS_CHAIN.outside,
    IPVS_CHAIN.outFilter,
  ],
  nat: [IPVS_CHAIN.nodePort, IPVS_CHAIN.loadBalancer],
  mangle: [CHAIN.proxyFirewall, IPVS_CHAIN.sourceRanges],
};

/** Whether a chain is the IPVS mode's and not the iptables mode's. */
export function isIpvsOnlyChain(table: TableName, name: string): boolean {
  return ONLY_IPVS[table].includes(name);
}

/** Whether a chain is of the proxy in one of these two modes. */
export function isIpvsChain(table: TableName, name: string): boolean {
  return isIpvsOnlyChain(table, name) || isOwnChain(table, name);
}

/** The chains of a table that the IPVS mode uses, those it shares with the iptables mode among them. */
export function ipvsChainNames(table: TableName): ReadonlySet<string> {
  return USED_CHAINS[table];
}

const SHARED_CHAINS: Readonly<Record<TableName, readonly string[]>> = {
  filter: [CHAIN.services, CHAIN.forward, CHAIN.proxyFirewall, CHAIN.canary],
  nat: [
    ...[CHAIN.services, CHAIN.postrouting, CHAIN.markMasquerade, CHAIN.markOffCluster],
    CHAIN.canary,
  ],
  mangle: [CHAIN.canary],
};

const USED_CHAINS: Readonly<Record<TableName, ReadonlySet<string>>> = {
  filter: new Set([...SHARED_CHAINS.filter, ...ONLY_IPVS.filter]),
  nat: new Set([...SHARED_CHAINS.nat, ...ONLY_IPVS.nat]),
  mangle: new Set([...SHARED_CHAINS.mangle, ...ONLY_IPVS.mangle]),
};
