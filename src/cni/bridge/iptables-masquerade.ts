/** ipMasq of pods in rules of iptables: what the reference bridge made, and what we made like it. */
import type { Iptables } from '../../iptables/programs-sync.ts';
import type { IP } from '../../net/ip.ts';
import type { Attachment } from '../attachment.ts';
import { masqueradeChain } from '../iptables/chains.ts';
import { masqueradeRules } from '../iptables/reference.ts';
import { removeForeignRules } from '../iptables/remove.ts';
import type { CniNode, Nftables } from '../node.ts';
import type { PluginCall } from '../plugin.ts';
import { unsupportedField } from '../protocol/errors.ts';
import { parseTeardownConfig } from './config.ts';

/** Throws CniError 2 in a process that has no way to it. */
export function requireIptables({ kernel }: CniNode): Iptables {
  if (kernel.iptables === undefined) throw unsupportedField('ipMasqBackend', 'iptables');
  return kernel.iptables;
}

/** The attachment's chain and what leads to it, and rules of the reference in nf_tables. */
export function removeIptablesMasquerade(
  { request, node, attachment }: PluginCall,
  nft: Nftables,
  mayBeLegacy: boolean,
): void {
  const { dataDir } = parseTeardownConfig(request.config);
  removeForeignRules(node.kernel, nft, {
    chains: [masqueradeChain(attachment)],
    kept: () => othersOf(attachment, node, dataDir),
    tables: masqueradeRules(attachment),
    mayBeLegacy,
  });
}

/** Addresses of the container's other interfaces on the network, which share the chain. */
function othersOf(
  { network, containerId, ifName }: Attachment,
  node: CniNode,
  dataDir: string | undefined,
): ReadonlySet<IP> {
  const isOther = (other: Partial<Attachment>) =>
    other.containerId === containerId && other.ifName !== undefined && other.ifName !== ifName;
  const reserved = node.ipam.owners(network, dataDir).filter(isOther);
  const recorded = (node.records?.list() ?? []).filter(
    ({ attachment }) => attachment.network === network && isOther(attachment),
  );
  return new Set([
    ...reserved.map(({ address }) => address),
    ...recorded.flatMap(({ addresses }) => addresses),
  ]);
}
