import type { ListedTable } from '../../iptables/listing.ts';
import type { IPFamily } from '../../net/ip.ts';
import { describedChains } from '../foreign/iptables-rules.ts';
import type { NatTable } from './foreign-masquerade.ts';

/** The chain that sees packets on their way out. */
const HOOK = 'POSTROUTING';

/** What iptables-save prints of table nat, of one variant and family. Pure. */
export function natTableOf(listed: ListedTable, program: string, family: IPFamily): NatTable {
  const chains = describedChains(listed, [HOOK]);
  return { name: `table nat of ${program}`, families: [family], chains, bases: [HOOK] };
}
