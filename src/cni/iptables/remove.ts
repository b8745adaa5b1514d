/**
 * Rules in tables that are not ours, of pods that the reference plugins made or for which
 * `ipMasqBackend: iptables` did. Whether there are any is seen in nf_tables without executing
 * anything; only then are the programs of iptables run.
 */
import type { IptablesVariant } from '../../iptables/command.ts';
import type { Iptables } from '../../iptables/programs-sync.ts';
import { settleSync } from '../../iptables/settle.ts';
import type { IP, IPFamily } from '../../net/ip.ts';
import { listTables } from '../../nftables/absence.ts';
import type { Table } from '../../nftables/model.ts';
import { Transaction } from '../../nftables/transaction.ts';
import { type CniNode, type Nftables, withNftables } from '../node.ts';
import { isMasqueradeChain, masqueradeChain, removalOf } from './chains.ts';
import { includesTable, NAT_TABLES } from './kernel-view.ts';
import { ownerOfRule } from './masquerade.ts';

/** What to look for: a container's chains of iptables, and its rules in tables of nf_tables. */
export interface ForeignRules {
  readonly chains: readonly string[];
  /** Packets from these are still for a living interface of the container. */
  readonly kept?: () => ReadonlySet<IP>;
  readonly tables: readonly CommentedRules[];
  /** Whether rules of iptables-legacy may be theirs: those are only seen by executing a program. */
  readonly mayBeLegacy: boolean;
}

/** Rules of chains of one table, known by their comment. */
export interface CommentedRules {
  readonly table: Table;
  readonly chains: readonly string[];
  isOwn(comment: string): boolean;
}

const FAMILIES: readonly IPFamily[] = [4, 6];

/** Whether any of them is there. */
export function hasForeignRules(
  { iptables }: CniNode['kernel'],
  nft: Nftables,
  { tables: commented, chains }: Pick<ForeignRules, 'tables' | 'chains'>,
): boolean {
  const tables = listTables(nft);
  const isCommented = commented
    .filter(({ table }) => includesTable(tables, table))
    .some(({ table, chains: names, isOwn }) => {
      return names.some((name) =>
        nft.rules(table, name).some(({ comment = '' }) => isOwn(comment)),
      );
    });
  if (isCommented) return true;
  return FAMILIES.some((family) => {
    const table = NAT_TABLES[family];
    if (includesTable(tables, table) && chains.some((chain) => nft.hasChain(table, chain)))
      return true;
    if (iptables?.hasLegacyTable(family, 'nat') !== true) return false;
    const saved = iptables.save({ family, variant: 'legacy' }, 'nat') ?? '';
    return chains.some((chain) => saved.includes(`\n:${chain} `));
  });
}

/** Removes what is there of them; nothing being there is success. */
export function removeForeignRules(
  { iptables }: CniNode['kernel'],
  nft: Nftables,
  rules: ForeignRules,
): void {
  const tables = listTables(nft);
  for (const some of rules.tables) {
    if (includesTable(tables, some.table)) removeCommented(nft, some);
  }
  if (iptables === undefined) return;
  for (const family of FAMILIES) {
    const table = NAT_TABLES[family];
    const isThere = (chain: string) => includesTable(tables, table) && nft.hasChain(table, chain);
    if (rules.chains.some(isThere)) removeChains(iptables, { family, variant: 'nft' }, rules);
    if (rules.mayBeLegacy && iptables.hasLegacyTable(family, 'nat')) {
      removeChains(iptables, { family, variant: 'legacy' }, rules);
    }
  }
}

/** GC: chains of masquerade rules whose comment names a container that is not valid any more. */
export function removeInvalidChains(
  { kernel }: Pick<CniNode, 'kernel'>,
  isInvalid: (network: string, containerId: string) => boolean,
): void {
  const { iptables } = kernel;
  if (iptables === undefined) return;
  for (const where of placesOfMasquerade(kernel, iptables)) {
    const saved = iptables.save(where, 'nat') ?? '';
    const owners = saved.split('\n').flatMap((line) => ownerOfRule(line) ?? []);
    const chains = owners
      .filter(({ network, containerId }) => isInvalid(network, containerId))
      .map(masqueradeChain);
    if (chains.length > 0) removeChains(iptables, where, { chains: [...new Set(chains)] });
  }
}

interface Place {
  readonly family: IPFamily;
  readonly variant: IptablesVariant;
}

function placesOfMasquerade(kernel: CniNode['kernel'], iptables: Iptables): readonly Place[] {
  const places: Place[] = [];
  withNftables(kernel, (nft) => {
    const tables = listTables(nft);
    for (const family of FAMILIES) {
      const table = NAT_TABLES[family];
      if (!includesTable(tables, table)) continue;
      const isThere = nft.chains(table).some(({ name }) => isMasqueradeChain(name));
      if (isThere) places.push({ family, variant: 'nft' });
    }
  });
  const legacy = FAMILIES.filter((family) => iptables.hasLegacyTable(family, 'nat'));
  return [...places, ...legacy.map((family) => ({ family, variant: 'legacy' }) as const)];
}

function removeChains(
  iptables: Iptables,
  place: Place,
  { chains, kept }: Pick<ForeignRules, 'chains' | 'kept'>,
): void {
  settleSync(`rules for ${chains.join(', ')}`, () => {
    // Without the programs nobody on this node knows of the rules: they are left alone.
    const saved = iptables.save(place, 'nat');
    const text = saved === undefined ? undefined : removalOf(saved, chains, kept?.());
    if (text === undefined) return undefined;
    return { key: text, apply: () => iptables.restore(place, text) };
  });
}

function removeCommented(nft: Nftables, { table, chains, isOwn }: CommentedRules): void {
  settleSync(`rules of table ${table.name}`, () => {
    const own = chains.flatMap((chain) =>
      nft
        .rules(table, chain)
        .filter(({ comment = '' }) => isOwn(comment))
        .map(({ handle }) => ({ chain, handle })),
    );
    if (own.length === 0) return undefined;
    const transaction = new Transaction(table);
    for (const { chain, handle } of own) transaction.deleteRule(chain, handle);
    const key = own.map(({ chain, handle }) => `${chain} ${handle}`).join(', ');
    return { key, apply: () => nft.commit(transaction) };
  });
}
