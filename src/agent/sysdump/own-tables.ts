import { NftablesConnection } from '../../nftables/connection.ts';
import type { Table } from '../../nftables/model.ts';
import { programText } from './program.ts';

const OWN_PREFIX = 'weft-';

/** All rules of nf_tables as `nft` prints them; without that program the names of tables, and what is in ours. */
export async function nftText(signal: AbortSignal): Promise<string> {
  const args = ['--json', 'list', 'ruleset'];
  return (await programText({ name: 'nft', args }, signal)) ?? ownTablesText();
}

/** Chains and their rules as far as our own library reads them; of sets what they are, not what is in them. */
function ownTablesText(): string {
  const connection = NftablesConnection.open();
  try {
    const tables = connection.tables();
    const own = tables.filter(({ name }) => name.startsWith(OWN_PREFIX));
    const dump = { tables, own: own.map((table) => tableOf(connection, table)) };
    return `${JSON.stringify(dump, withoutBigints, 2)}\n`;
  } finally {
    connection.close();
  }
}

function tableOf(connection: NftablesConnection, table: Table): object {
  return {
    table: `${table.family} ${table.name}`,
    chains: connection
      .chains(table)
      .map((chain) => ({ ...chain, rules: connection.rules(table, chain.name) })),
    sets: connection.sets(table),
  };
}

function withoutBigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
