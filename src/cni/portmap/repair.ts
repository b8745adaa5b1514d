import type { Sysctls } from '../../kernel/types.ts';
import { TableApplier } from '../../nftables/applier.ts';
import type { NftablesConnection } from '../../nftables/connection.ts';
import type { Element, ObservedElement } from '../../nftables/model.ts';
import type { HostPortRecord, HostPortStore } from '../host-ports.ts';
import { elementsOf, replaceTable } from './kernel-table.ts';
import { HOST_PORT_TABLE, recordChains } from './layout.ts';
import { enableRouteLocalnet, hasRouteLocalnet } from './loopback.ts';
import { ownedRecords } from './store.ts';

export interface HostPortRepair {
  /** The table was missing, changed or made by another release, and has been replaced. */
  readonly isTableReplaced: boolean;
  /** Links on which routing of 127.0.0.0/8 had been turned off. */
  readonly links: readonly string[];
}

/** What repair works on. */
export interface HostPortRepairOptions {
  readonly connection: NftablesConnection;
  readonly store: HostPortStore;
  readonly sysctls: Sysctls;
}

/**
 * Makes the kernel hold what the store says, whatever somebody else did to it; changes nothing when
 * it does already. The table is replaced in one transaction, and connections go on: their NAT is in
 * connection tracking. Waits for ADDs and DELs that run, and they wait for it.
 */
export function repairHostPorts(options: HostPortRepairOptions): HostPortRepair {
  const { connection, store, sysctls } = options;
  return store.locked((ledger) => {
    const records = ownedRecords(store.records(), ledger);
    const isTableReplaced = !isIntact(connection, records);
    if (isTableReplaced) replaceTable(connection, records);
    const changed = closedLinks(sysctls, records);
    for (const link of changed) enableRouteLocalnet(sysctls, link);
    return { isTableReplaced, links: changed };
  });
}

/** How much `repairHostPorts` would put right now; the table counts as one. */
export function hostPortDifferences({ connection, store, sysctls }: HostPortRepairOptions): number {
  return store.locked((ledger) => {
    const records = ownedRecords(store.records(), ledger);
    return Number(!isIntact(connection, records)) + closedLinks(sysctls, records).length;
  });
}

function closedLinks(sysctls: Sysctls, records: readonly HostPortRecord[]): readonly string[] {
  const links = records.flatMap(({ loopbackLink }) => loopbackLink ?? []);
  return [...new Set(links)].filter((link) => !hasRouteLocalnet(sysctls, link));
}

/** No table is needed as long as nothing is published. */
function isIntact(connection: NftablesConnection, records: readonly HostPortRecord[]): boolean {
  const observed = new TableApplier(connection, HOST_PORT_TABLE).observe();
  if (records.length === 0 && observed.chains.length === 0) return true;
  if (!observed.isAsDefined || observed.isDormant) return false;
  for (const [map, elements] of elementsOf(records)) {
    if (!hasSameElements(observed.elements.get(map.name) ?? [], elements)) return false;
  }
  const ownChains = [...HOST_PORT_TABLE.chains, ...recordChains(records)];
  return (
    observed.chains.length === ownChains.length &&
    connection.damagedChains(HOST_PORT_TABLE.table, ownChains).length === 0
  );
}

function hasSameElements(
  observed: readonly ObservedElement[],
  wanted: readonly Element[],
): boolean {
  const data = new Map(observed.map((element) => [element.key, element.data]));
  return data.size === wanted.length && wanted.every((e) => data.get(e.key) === e.data);
}
