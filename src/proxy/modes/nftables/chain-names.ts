import type { Rule } from '../../../nftables/model.ts';
import type { Statement } from '../../../nftables/statements.ts';

/**
 * The chains that elements and other chains lead to. Those of slots are named in slot-chains.ts.
 */
export const CHAIN = {
  /**
   * Answers that nobody is there. For TCP with a reset: the kernel sends few ICMP errors per second
   * to one host, and an IPv6 client in connect() may take notice of the second one only.
   */
  reject: 'reject-chain',
  refusedServices: 'refused-services',
  otherClusterIPs: 'other-cluster-ips',
  checkClients: 'check-clients',
  checkNodePortClients: 'check-nodeport-clients',
  outsideClients: 'outside-clients',
  outsideNodePortClients: 'outside-nodeport-clients',
  masqueradeAll: 'masquerade-all',
  masqueradeNode: 'masquerade-node',
  masqueradeOffCluster: 'masquerade-off-cluster',
  unallocated: 'unallocated-cluster-ips',
} as const;

export function rule(statements: readonly Statement[], comment?: string): Rule {
  return comment === undefined ? { statements } : { statements, comment };
}
