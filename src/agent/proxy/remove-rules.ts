import type { IPFamily } from '../../net/ip.ts';
import { NftablesConnection } from '../../nftables/connection.ts';
import { Transaction } from '../../nftables/transaction.ts';
import { removeServiceRules } from '../../proxy/iptables/cleanup.ts';
import { detectPrograms } from '../../proxy/iptables/detection.ts';
import { proxyTable } from '../../proxy/nftables/layout.ts';
import { assertNever, BusyError } from '../../util/errors.ts';
import type { RulesKind } from './rules-record.ts';
import { takeOverKernel } from './take-over-kernel.ts';

/**
 * Removes the rules for Services of one kind and family; true when there were some. In iptables
 * they are known by kube-proxy's names: only for rules that are on record as ours. Throws BusyError
 * while a kube-proxy runs, whose rules they may be by now, and other kinds of WeftError.
 */
export async function removeRules(kind: RulesKind, family: IPFamily): Promise<boolean> {
  switch (kind) {
    case 'nftables':
      return removeTable(family);
    case 'iptables-nft':
    case 'iptables-legacy': {
      refuseBesideKubeProxy();
      const variant = kind === 'iptables-nft' ? 'nft' : 'legacy';
      const programs = (await detectPrograms([family], { variant })).get(family);
      return programs === undefined ? false : removeServiceRules(programs);
    }
    default:
      return assertNever(kind, 'rules');
  }
}

function refuseBesideKubeProxy(): void {
  const pid = takeOverKernel.kubeProxyPid();
  if (pid === undefined) return;
  const reason = `kube-proxy runs, pid ${pid}, and its chains have the same names`;
  throw new BusyError(`remove chains of Services from iptables: ${reason}; stop it first`);
}

function removeTable(family: IPFamily): boolean {
  const table = proxyTable(family);
  const connection = NftablesConnection.open();
  try {
    if (!connection.tables(table.family).some(({ name }) => name === table.name)) return false;
    const transaction = new Transaction(table);
    transaction.deleteTable();
    connection.commit(transaction);
    return true;
  } finally {
    connection.close();
  }
}
