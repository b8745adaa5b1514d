/** What repair works on and what it tells. */
import type { NftablesConnection } from '../../nftables/connection.ts';
import { attachmentKey } from '../attachment.ts';
import type { AttachmentRecord } from '../attachment-records.ts';
import type { UpkeepNode } from '../node.ts';
import type { NodePlan } from '../node-plan.ts';

/** What can be put right, for logs and metrics. */
export type RepairKind =
  | 'masquerade'
  | 'masqueradeRules'
  | 'guard'
  | 'hostPorts'
  | 'bridge'
  | 'address'
  | 'port'
  | 'sameNode'
  | 'forwarding'
  | 'podAddress'
  | 'podRoute'
  | 'forwardRules';

/** One thing that was wrong and is right again. */
export interface Repair {
  readonly kind: RepairKind;
  /** What it was: a table, link, address or sysctl. */
  readonly what: string;
}

export interface RepairOptions {
  readonly node: UpkeepNode;
  /** Stays open: closing one costs the kernel a wait. */
  readonly connection: NftablesConnection;
  readonly bootId: string;
}

/**
 * Those of this boot, of all records or of those with these keys. An attachment whose ADD or DEL is
 * still at work is left to it.
 */
export function livingRecords(
  { node, bootId }: Pick<RepairOptions, 'node' | 'bootId'>,
  keys?: readonly string[],
): readonly AttachmentRecord[] {
  const unfinished = new Set(node.journal.unfinished().map(attachmentKey));
  return node.records.list(keys).filter((record) => {
    return record.bootId === bootId && !unfinished.has(attachmentKey(record.attachment));
  });
}

export function plansOf(records: readonly AttachmentRecord[]): readonly NodePlan[] {
  return records.flatMap(({ plan }) => plan ?? []);
}
