/** Masquerading of a living pod, left to whoever comes after us. */

import type { AttachmentRecord } from '../attachment-records.ts';
import { requireIptables } from '../bridge/iptables-masquerade.ts';
import { removeMasquerade } from '../bridge/masquerade.ts';
import { variantOf } from '../iptables/kernel-view.ts';
import { addIptablesMasquerade } from '../iptables/masquerade.ts';
import { type UpkeepNode, withNftables } from '../node.ts';
import type { IptablesMasquerade } from '../node-plan.ts';

/**
 * Puts the reference bridge's rules of iptables in the place of our elements, without a moment between.
 * The reference's DEL needs them: it fails for a pod that has none (release 1.1.1 with iptables-nft).
 * Throws IoError where the programs of iptables are missing; nothing is changed then.
 */
export function handOverMasquerade(node: UpkeepNode, record: AttachmentRecord): void {
  const { attachment, plan } = record;
  if (plan === undefined || plan.masquerade.length === 0) return;
  const { network, containerId } = attachment;
  const entries = plan.masquerade;
  const wanted: IptablesMasquerade = { owner: { network, containerId }, entries };
  addIptablesMasquerade(requireIptables(node), wanted);
  withNftables(node.kernel, (nft) => {
    node.records.write({
      ...record,
      plan: { ...plan, masquerade: [], iptablesMasquerade: wanted },
    });
    node.records.amend(attachment, { iptablesVariant: variantOf(nft, wanted) });
    const addresses = entries.map(({ address }) => address);
    removeMasquerade(nft, addresses, true);
  });
}
