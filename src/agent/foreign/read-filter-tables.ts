import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CommandPrefix } from '../../iptables/command.ts';
import { parseListingInTurns } from '../../iptables/listing.ts';
import type { TableName } from '../../iptables/model.ts';
import { findIptables, openIptablesPrograms } from '../../iptables/programs.ts';
import type { Netns } from '../../kernel/types.ts';
import type { IPFamily } from '../../net/ip.ts';
import { listTables } from '../../nftables/absence.ts';
import { NftablesConnection } from '../../nftables/connection.ts';
import type { ObservedChain } from '../../nftables/decode.ts';
import type { Table } from '../../nftables/model.ts';
import type { NatRule } from '../../nftables/nat-rule.ts';
import { tableText } from '../../nftables/text.ts';
import { IoError } from '../../util/errors.ts';
import { readIfThere } from '../../util/files.ts';
import type { FilterBase, FilterTable } from './drops.ts';
import { describedChains } from './iptables-rules.ts';

/** Tables of ours, and those of a kube-proxy: what they drop they drop for Services. */
const KNOWN_TABLE = /^(weft-|kube-proxy$)/;
const FAMILIES = { ip: [4], ip6: [6], inet: [4, 6] } as const;
const HOOKS: readonly string[] = ['prerouting', 'forward', 'postrouting'];
/** Of a table; decoding more would hold up everything else. */
const MOST_RULES = 10_000;
const LEGACY_TABLES: readonly TableName[] = ['filter', 'mangle'];

/** A namespace; without it that of this process. */
interface Inside {
  readonly netns?: Netns;
  /** What programs are run with to be in it. */
  readonly prefix?: CommandPrefix;
  /** Where the kernel says which tables the older iptables has. */
  readonly proc?: string;
}

/**
 * The tables of others that may drop packets on their way through the node: of nf_tables, which has those
 * of iptables-nft too, and of the older iptables where there are any. Throws NftablesError and IoError.
 */
export async function readFilterTables(inside: Inside = {}): Promise<readonly FilterTable[]> {
  return [...(await readNftables(inside)), ...(await readLegacy(inside))];
}

async function readNftables({ netns }: Inside): Promise<readonly FilterTable[]> {
  const connection = NftablesConnection.open(netns === undefined ? {} : { netns });
  const tables: FilterTable[] = [];
  try {
    for (const table of listTables(connection)) {
      if (KNOWN_TABLE.test(table.name)) continue;
      tables.push(...readTable(connection, table));
      await nextTurn();
    }
  } finally {
    connection.close();
  }
  return tables;
}

function readTable(connection: NftablesConnection, table: Table): readonly FilterTable[] {
  const families = table.family in FAMILIES ? FAMILIES[table.family as 'ip' | 'ip6' | 'inet'] : [];
  if (families.length === 0) return [];
  const chains = connection.chains(table);
  const bases = chains.filter(mayDrop).toSorted(byPriority);
  if (bases.length === 0) return [];
  const count = chains.reduce((sum, { useCount }) => sum + useCount, 0);
  if (count > MOST_RULES)
    throw new IoError(`table ${tableText(table)} has ${count} rules and jumps`);
  const rules = connection.natRules(table);
  return [
    {
      name: `table ${tableText(table)}`,
      families,
      chains: new Map([...rules].map(([chain, list]) => [chain, list.map(described)])),
      bases: bases.map((chain) => filterBase(table, chain)),
    },
  ];
}

function mayDrop({ base }: ObservedChain): boolean {
  return base !== undefined && base.type !== 'nat' && HOOKS.includes(base.hook);
}

function byPriority(a: ObservedChain, b: ObservedChain): number {
  return (a.base?.priority ?? 0) - (b.base?.priority ?? 0);
}

function filterBase(
  { family, name: table }: Table,
  { name: chain, base }: ObservedChain,
): FilterBase {
  // Chains of iptables are written in capitals, and its programs are who changes them.
  const isOfIptables = chain === chain.toUpperCase() && family !== 'inet';
  const program = family === 'ip6' ? 'ip6tables' : 'iptables';
  return {
    chain,
    policy: base?.policy ?? 'accept',
    policyCure: isOfIptables
      ? `${program} -t ${table} -P ${chain} ACCEPT`.replace(' -t filter', '')
      : `nft chain ${family} ${table} ${chain} '{ policy accept; }', or have its rules accept pods`,
    isBeforeRouting: base?.hook === 'prerouting',
  };
}

function described({ conditions, action, handle }: NatRule) {
  return { conditions, action, text: `the rule with handle ${handle}` };
}

async function readLegacy(inside: Inside): Promise<readonly FilterTable[]> {
  const { prefix = [], proc = '/proc/net' } = inside;
  const wanted = ([4, 6] as const).flatMap((family) => {
    const file = `${proc}/${family === 4 ? 'ip' : 'ip6'}_tables_names`;
    const names = (readIfThere(file) ?? '').split('\n');
    return LEGACY_TABLES.filter((table) => names.includes(table)).map((table) => ({
      family,
      table,
    }));
  });
  if (wanted.length === 0) return [];
  const installed = await findIptables(prefix);
  // Its rules hold all the same, and nobody can read them.
  if (!installed.has('legacy'))
    throw new IoError('the older iptables has tables here, and its programs are not installed');
  return await Promise.all(
    wanted.map(async ({ family, table }) => {
      const saved = await openIptablesPrograms(installed, 'legacy', family, prefix).save(table);
      return legacyTable(saved, family, table);
    }),
  );
}

/** `:FORWARD DROP [0:0]` is a chain with its policy. */
async function legacyTable(
  saved: string,
  family: IPFamily,
  table: TableName,
): Promise<FilterTable> {
  const listing = await parseListingInTurns(saved);
  const program = `${family === 4 ? 'iptables' : 'ip6tables'}-legacy`;
  const places = HOOKS.map((hook) => hook.toUpperCase()).filter((place) =>
    listing[table].has(place),
  );
  return {
    name: `table ${table} of ${program}`,
    families: [family],
    chains: describedChains(listing[table], places),
    bases: places.map((chain) => ({
      chain,
      policy: new RegExp(`^:${chain} DROP`, 'm').test(saved) ? 'drop' : 'accept',
      policyCure: `${program} -t ${table} -P ${chain} ACCEPT`.replace(' -t filter', ''),
      isBeforeRouting: chain === 'PREROUTING',
    })),
  };
}
