/** ipMasq of living pods, where somebody else may masquerade some of them. */
import type { IP } from '../../net/ip.ts';
import { healTable, tableDifferences } from '../../nftables/heal-table.ts';
import { tableText } from '../../nftables/text.ts';
import type { AttachmentRecord } from '../attachment-records.ts';
import { masqueraded, removeMasquerade } from '../bridge/masquerade.ts';
import { livingRecords, plansOf, type Repair, type RepairOptions } from './repair-model.ts';
import { masqueradeOf } from './tables.ts';

/**
 * Brings back what is missing for pods that are ours to masquerade, then takes away what is there for
 * others. Gives what it did. Throws NftablesError.
 */
export function repairMasquerade(options: RepairOptions): readonly Repair[] {
  const { node, connection } = options;
  const wanted = () => {
    return masqueradeOf(plansOf(livingRecords(options)), node.isMasqueradedElsewhere);
  };
  const healed = healTable(connection, wanted);
  const others = foreignAddresses(options);
  removeMasquerade(connection, others, true);
  const repairs: readonly Repair[] = others.map((address) => {
    return { kind: 'masquerade', what: `${address}, which is masqueraded elsewhere` };
  });
  if (healed === undefined) return repairs;
  return [{ kind: 'masquerade', what: tableText(healed.definition.table) }, ...repairs];
}

/** How much of it `repairMasquerade` would change for these records. */
export function masqueradeDifferences(
  options: RepairOptions,
  records: readonly AttachmentRecord[],
): number {
  const { connection, node } = options;
  const wanted = masqueradeOf(plansOf(records), node.isMasqueradedElsewhere);
  const own = new Set(records.flatMap(({ addresses }) => addresses));
  const others = foreignAddresses(options).filter((address) => own.has(address));
  return tableDifferences(connection, wanted) + others.length;
}

/** Addresses that have an element although somebody else masquerades them. */
function foreignAddresses({ connection, node }: RepairOptions): readonly IP[] {
  const isElsewhere = node.isMasqueradedElsewhere;
  if (isElsewhere === undefined) return [];
  return ([4, 6] as const)
    .flatMap((family) => masqueraded(connection, family))
    .map(({ address }) => address)
    .filter(isElsewhere);
}
