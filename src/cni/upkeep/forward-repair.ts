/** What `firewall` has let through, brought back. */

import { healTable, type WantedTable } from '../../nftables/heal-table.ts';
import type { AttachmentRecord, Forwarded } from '../attachment-records.ts';
import {
  ensureForward,
  FAMILIES,
  type ForwardTables,
  type ForwardWish,
  hasRule,
  missingRules,
  type RuleFilter,
  readForward,
} from '../firewall/forward.ts';
import { ISOLATION_TABLE, isolationElements } from '../firewall/isolation.ts';
import { commentPrefix } from '../firewall/layout.ts';
import { livingRecords, type Repair, type RepairOptions } from './repair-model.ts';

/**
 * Where nothing drops what is forwarded no rule is missing. Rules of whole subnets, which earlier
 * releases made, are replaced by those of the pods that are here.
 */
export function repairForward(options: RepairOptions): readonly Repair[] {
  const { connection } = options;
  return networksOf(livingRecords(options)).flatMap((where): readonly Repair[] => {
    const isOfSubnet = ofSubnetOf(where.network);
    const wish = () => forwardWish(livingRecords(options), where);
    if (wrongRules(connection, wish(), isOfSubnet) === 0) return [];
    ensureForward(connection, wish, isOfSubnet);
    return [{ kind: 'forwardRules', what: `iptables rules of network ${where.network}` }];
  });
}

export function repairIsolation(options: RepairOptions): readonly Repair[] {
  const wanted = () => isolationOf(livingRecords(options));
  if (healTable(options.connection, wanted) === undefined) return [];
  const { family, name } = ISOLATION_TABLE.table;
  return [{ kind: 'forwardRules', what: `${family} ${name}` }];
}

type Forwarding = Pick<ForwardWish, 'adminChain'> & { readonly network: string };

/** Each network with each chain of its administrator, once. */
function networksOf(records: readonly AttachmentRecord[]): readonly Forwarding[] {
  const all = records.flatMap(({ attachment: { network }, forwarded }): [string, Forwarding][] => {
    if (!hasRules(forwarded)) return [];
    const { adminChain } = forwarded;
    return [[`${network} ${adminChain}`, { network, adminChain }]];
  });
  return [...new Map(all).values()];
}

function forwardWish(
  records: readonly AttachmentRecord[],
  { network, adminChain }: Forwarding,
): ForwardWish {
  const pods = records.flatMap(({ attachment, forwarded, addresses }) => {
    const isOf = attachment.network === network && forwarded?.adminChain === adminChain;
    if (!isOf || !hasRules(forwarded) || forwarded.isLeaving === true) return [];
    return [{ owner: attachment, addresses: forwarded.addresses ?? addresses }];
  });
  return { adminChain, pods };
}

/** What is in a zone of firewalld is firewalld's to keep. */
function hasRules(forwarded: Forwarded | undefined): forwarded is Forwarded {
  return forwarded !== undefined && forwarded.zone === undefined;
}

/** How many rules these records miss, or have that earlier releases made. */
export function forwardDifferences(
  tables: ForwardTables,
  records: readonly AttachmentRecord[],
): number {
  return networksOf(records).reduce((sum, where) => {
    return sum + wrongRules(tables, forwardWish(records, where), ofSubnetOf(where.network));
  }, 0);
}

/** None needs no table. */
export function isolationOf(records: readonly AttachmentRecord[]): WantedTable | undefined {
  return isolationElements(records.flatMap(({ forwarded }) => forwarded?.isolation ?? []));
}

function wrongRules(tables: ForwardTables, { pods }: ForwardWish, isOfSubnet: RuleFilter): number {
  return FAMILIES.reduce((sum, family) => {
    const state = readForward(tables, family);
    if (state === undefined) return sum;
    return sum + missingRules(state, family, pods).length + Number(hasRule(state, isOfSubnet));
  }, 0);
}

/** Rules that earlier releases made for whole subnets. */
function ofSubnetOf(network: string): RuleFilter {
  const prefix = commentPrefix(network);
  return (comment) => comment.prefix === prefix && comment.owner === undefined;
}
