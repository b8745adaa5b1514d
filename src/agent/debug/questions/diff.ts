import type { IPFamily } from '../../../net/ip.ts';
import { NftablesConnection } from '../../../nftables/connection.ts';
import { diffTable, type TableDifference } from '../../../proxy/modes/nftables/difference.ts';
import { kernelTables } from '../../../proxy/modes/nftables/kernel-table.ts';
import { proxyTable } from '../../../proxy/modes/nftables/layout.ts';
import type { ProxySnapshot } from '../../../proxy/snapshot.ts';
import { syncedSnapshot } from '../explain.ts';
import type { DebugRequest } from '../protocol.ts';
import type { Question } from '../question.ts';
import { requireNftables, requireProxy } from '../subjects.ts';

export interface DiffRequest extends DebugRequest {
  readonly command: 'diff';
}

/** Answered with one TableDifference for each family. */
export const diffQuestion: Question<DiffRequest> = {
  command: 'diff',
  parse: () => ({ command: 'diff' }),
  answer: (_request, subjects) => {
    const proxy = requireProxy('diff', subjects);
    requireNftables('diff', proxy);
    return diffTables(proxy.snapshots());
  },
};

async function diffTables(
  snapshots: ReadonlyMap<IPFamily, ProxySnapshot>,
): Promise<readonly TableDifference[]> {
  const differences: TableDifference[] = [];
  for (const family of snapshots.keys()) {
    const snapshot = syncedSnapshot(snapshots, family);
    const connection = NftablesConnection.open();
    try {
      const difference = await diffTable(snapshot, {
        openTable: kernelTables(() => NftablesConnection.open()),
        hasRules: (chain) => connection.hasRules(proxyTable(family), chain),
      });
      differences.push(difference);
    } finally {
      connection.close();
    }
  }
  return differences;
}
