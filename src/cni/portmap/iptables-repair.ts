/** Host ports of the iptables back end, brought back after somebody has flushed table `nat`. */
import { programName, runCommand, saveCommand } from '../../iptables/command.ts';
import { parseListingInTurns } from '../../iptables/listing.ts';
import type { Iptables } from '../../iptables/programs-sync.ts';
import type { IPFamily } from '../../net/ip.ts';
import type { HostPortStore } from '../host-ports.ts';
import { listTable } from '../iptables/change.ts';
import type { Nftables } from '../node.ts';
import {
  familiesOf,
  hasAsManyRules,
  type IptablesRecord,
  missingRule,
  publishByIptables,
  usesIptables,
} from './iptables.ts';
import { ownedRecords } from './store.ts';

/** What the repair works on. */
export interface IptablesRepairOptions {
  readonly nft: Pick<Nftables, 'rules'>;
  readonly iptables: Iptables;
  readonly store: HostPortStore;
}

const FAMILIES: readonly IPFamily[] = [4, 6];

/**
 * Publishes again what is missing, in the variant that the node uses, as ADD does; gives how many
 * attachments missed something. Nothing is executed while nf_tables shows as many rules as there
 * ought to be, and the thread waits for programs only where something is to be put right.
 */
export async function repairIptablesHostPorts(options: IptablesRepairOptions): Promise<number> {
  const { nft, iptables, store } = options;
  const records = store.records().filter(usesIptables);
  for (const family of FAMILIES) {
    const own = records.filter((record) => familiesOf(record).includes(family));
    if (own.every((record) => hasAsManyRules(nft, family, record))) continue;
    const saved = await runCommand(saveCommand([], programName(family, 'tables'), 'nat'));
    const { nat } = await parseListingInTurns(saved);
    if (own.some((record) => missingRule(nat, family, record) !== undefined)) {
      return publishAgain(iptables, store);
    }
  }
  return 0;
}

/** Waits for ADDs and DELs that run, and they wait for it. */
function publishAgain(iptables: Iptables, store: HostPortStore): number {
  return store.locked((ledger) => {
    const records = ownedRecords(store.records(), ledger).filter(usesIptables);
    const wrong = records.filter((record) => isAmiss(iptables, record));
    for (const record of wrong) publishByIptables(iptables, record);
    return wrong.length;
  });
}

function isAmiss(iptables: Iptables, record: IptablesRecord): boolean {
  return familiesOf(record).some((family) => {
    return missingRule(listTable(iptables, { family, table: 'nat' }), family, record) !== undefined;
  });
}
