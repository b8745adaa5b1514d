import type { CommandPrefix } from '../../iptables/command.ts';
import { parseListingInTurns } from '../../iptables/listing.ts';
import { findIptables, openIptablesPrograms } from '../../iptables/programs.ts';
import type { Netns } from '../../kernel/types.ts';
import { listTables } from '../../nftables/absence.ts';
import { NftablesConnection } from '../../nftables/connection.ts';
import type { ObservedChain } from '../../nftables/decode.ts';
import type { Table } from '../../nftables/model.ts';
import type { NatRule } from '../../nftables/nat-rule.ts';
import { tableText } from '../../nftables/text.ts';
import type { NatTable } from './foreign-masquerade.ts';
import { natTableOf } from './iptables-nat.ts';

/** Tables of ours, and those of a kube-proxy: what they masquerade went to a Service. */
const KNOWN_TABLE = /^(weft-|kube-proxy$)/;
const FAMILIES = { ip: [4], ip6: [6], inet: [4, 6] } as const;

/** A namespace; without it that of this process. */
interface Inside {
  readonly netns?: Netns;
  /** What programs are run with to be in it. */
  readonly prefix?: CommandPrefix;
}

/**
 * The tables of others that may rewrite the sources of packets, of nf_tables and of both variants of
 * iptables, as far as their programs are installed. Throws NftablesError and IoError.
 */
export async function readNatTables(inside: Inside = {}): Promise<readonly NatTable[]> {
  return [...(await readIptables(inside)), ...readNftables(inside)];
}

async function readIptables({ prefix = [] }: Inside): Promise<readonly NatTable[]> {
  const installed = await findIptables(prefix);
  const places = [...installed.keys()].flatMap((variant) =>
    ([4, 6] as const).map((family) => ({ variant, family })),
  );
  return await Promise.all(
    places.map(async ({ variant, family }) => {
      const saved = await openIptablesPrograms(installed, variant, family, prefix).save('nat');
      const { nat } = await parseListingInTurns(saved);
      return natTableOf(nat, `${family === 4 ? 'iptables' : 'ip6tables'}-${variant}`, family);
    }),
  );
}

function readNftables({ netns }: Inside): readonly NatTable[] {
  const connection = NftablesConnection.open(netns === undefined ? {} : { netns });
  try {
    return listTables(connection)
      .filter(({ name }) => !KNOWN_TABLE.test(name))
      .flatMap((table) => readTable(connection, table));
  } finally {
    connection.close();
  }
}

function readTable(connection: NftablesConnection, table: Table): readonly NatTable[] {
  const families = table.family in FAMILIES ? FAMILIES[table.family as 'ip' | 'ip6' | 'inet'] : [];
  if (families.length === 0) return [];
  const bases = connection.chains(table).filter(rewritesSources).toSorted(byPriority);
  if (bases.length === 0) return [];
  const rules = connection.natRules(table);
  // Of iptables-nft, whose program says more of them.
  if ([...rules.values()].flat().some(({ isOfIptables }) => isOfIptables)) return [];
  return [
    {
      name: `table ${tableText(table)}`,
      families,
      chains: new Map([...rules].map(([chain, list]) => [chain, list.map(described)])),
      bases: bases.map(({ name }) => name),
    },
  ];
}

function rewritesSources({ base }: ObservedChain): boolean {
  return base?.type === 'nat' && base.hook === 'postrouting';
}

function byPriority(a: ObservedChain, b: ObservedChain): number {
  return (a.base?.priority ?? 0) - (b.base?.priority ?? 0);
}

function described({ conditions, action, handle }: NatRule) {
  return { conditions, action, text: `the rule with handle ${handle}` };
}
