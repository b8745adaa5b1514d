import type { IPFamily } from '../../../net/ip.ts';
import { HOOK_PRIORITY } from '../../../nftables/hook-priorities.ts';
import type { Table } from '../../../nftables/model.ts';
import { ct } from '../../../nftables/selectors.ts';
import { accept, matchBits } from '../../../nftables/statements.ts';
import { Transaction } from '../../../nftables/transaction.ts';

/** enum ip_conntrack_status: a destination was translated. */
const IPS_DST_NAT = 1 << 5;

/** The only rule of the chain; it changes nothing. */
export function keptTranslationsTable(family: IPFamily): Table {
  return { family: family === 4 ? 'ip' : 'ip6', name: 'weft-userspace' };
}

/**
 * Makes a chain of type nat with a rule that asks about connections: as long as there are such, the
 * kernel goes on tracking and translating the connections that a mode with rules has begun; with the
 * last it stops (nf_nat_unregister_fn in net/netfilter/nf_nat_core.c, nf_ct_netns_put).
 */
export function keepTranslations(family: IPFamily): Transaction {
  const base = { type: 'nat', hook: 'prerouting', priority: HOOK_PRIORITY.destinationNat } as const;
  const rule = { statements: [matchBits(ct.status, IPS_DST_NAT, '!=', 0), accept] };
  return new Transaction(keptTranslationsTable(family))
    .addTable()
    .deleteTable()
    .addTable()
    .addChain({ name: 'translations-go-on', base, rules: [rule] });
}
