/** Rules of iptables-nft as nf_tables shows them, without executing anything. */
import type { IptablesVariant } from '../../iptables/command.ts';
import type { IPFamily } from '../../net/ip.ts';
import { listTables } from '../../nftables/absence.ts';
import type { Table } from '../../nftables/model.ts';
import type { Nftables } from '../node.ts';
import type { IptablesMasquerade } from '../node-plan.ts';
import { masqueradeChain } from './chains.ts';
import { familiesOf, POSTROUTING, rulesOf } from './masquerade.ts';

/** Where iptables-nft keeps table `nat`. */
export const NAT_TABLES: Readonly<Record<IPFamily, Table>> = {
  4: { family: 'ip', name: 'nat' },
  6: { family: 'ip6', name: 'nat' },
};

export function includesTable(tables: readonly Table[], { family, name }: Table): boolean {
  return tables.some((table) => table.family === family && table.name === name);
}

/** Of which variant the rules are that have just been made. */
export function variantOf(
  nft: Pick<Nftables, 'tables' | 'hasChain'>,
  made: IptablesMasquerade,
): IptablesVariant {
  const tables = listTables(nft);
  const chain = masqueradeChain(made.owner);
  const isOfNft = familiesOf(made).some((family) => {
    const table = NAT_TABLES[family];
    return includesTable(tables, table) && nft.hasChain(table, chain);
  });
  return isOfNft ? 'nft' : 'legacy';
}

/**
 * Whether there are as many rules as wanted, by chain and by what leads there: after a flush there
 * are not. What they say is only seen in a listing.
 */
export function hasAsManyRules(
  nft: Pick<Nftables, 'rules'>,
  family: IPFamily,
  wanted: readonly IptablesMasquerade[],
): boolean {
  const table = NAT_TABLES[family];
  const ways = Map.groupBy(nft.rules(table, POSTROUTING), ({ target }) => target);
  return wanted.every((each) => {
    const chain = masqueradeChain(each.owner);
    const rules = rulesOf(family, each);
    const inChain = rules.filter((rule) => rule.chain === chain).length;
    const leading = ways.get(chain)?.length ?? 0;
    return leading >= rules.length - inChain && nft.rules(table, chain).length >= inChain;
  });
}
