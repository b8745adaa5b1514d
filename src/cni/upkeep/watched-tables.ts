/** Tables whose changes are a reason to look at what living pods need. */
import { tableText } from '../../nftables/text.ts';
import { MASQUERADE_TABLE } from '../bridge/masquerade.ts';
import { OWN_ADDRESSES_TABLE } from '../bridge/own-addresses.ts';
import { SPOOF_TABLE } from '../bridge/spoof.ts';
import { FILTER_TABLES } from '../firewall/layout.ts';
import { NAT_TABLES } from '../iptables/kernel-view.ts';
import { HOST_PORT_TABLE } from '../portmap/layout.ts';

/** As events name them. */
export type TableNames = ReadonlySet<string>;

export const OWN_TABLES: TableNames = new Set(
  [
    MASQUERADE_TABLE.definition,
    SPOOF_TABLE.definition,
    OWN_ADDRESSES_TABLE.definition,
    HOST_PORT_TABLE,
  ].map(({ table }) => tableText(table)),
);

export const IPTABLES_NAT_TABLES: TableNames = new Set(Object.values(NAT_TABLES).map(tableText));

export const IPTABLES_FILTER_TABLES: TableNames = new Set(
  Object.values(FILTER_TABLES).map(tableText),
);

export const OWN_AND_FILTER_TABLES: TableNames = new Set([
  ...OWN_TABLES,
  ...IPTABLES_FILTER_TABLES,
]);

export function hasAny(tables: TableNames, wanted: TableNames): boolean {
  return Array.from(tables).some((name) => wanted.has(name));
}
