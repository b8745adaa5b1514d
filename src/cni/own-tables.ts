import type { Table } from '../nftables/model.ts';
import { MASQUERADE_TABLE } from './bridge/masquerade.ts';
import { OWN_ADDRESSES_TABLE } from './bridge/own-addresses.ts';
import { SPOOF_TABLE } from './bridge/spoof.ts';
import { ISOLATION_TABLE } from './firewall/isolation.ts';
import { HOST_PORT_TABLE } from './portmap/layout.ts';

/** Every table of nf_tables that pods may need. */
export const CNI_TABLES: readonly Table[] = [
  MASQUERADE_TABLE.definition,
  SPOOF_TABLE.definition,
  OWN_ADDRESSES_TABLE.definition,
  HOST_PORT_TABLE,
  ISOLATION_TABLE,
].map(({ table }) => table);
