import type { Mac } from '../../net/mac.ts';
import { type Attachment, attachmentLabel } from '../attachment.ts';
import { type CniNode, withNftables } from '../node.ts';
import type { PortPlan } from '../node-plan.ts';
import type { UndoList } from '../undo.ts';
import { guardPort, unguardPorts } from './spoof.ts';

/**
 * A later member of the chain gives a pod another hardware address, under which it may send from now on where its
 * addresses are tied to its port; macspoofchk still wants the first one.
 */
export function allowMac(
  { kernel, records }: CniNode,
  attachment: Attachment,
  mac: Mac,
  undo: UndoList,
): void {
  const plan = records?.read(attachment)?.plan;
  const { senders, allowedMac } = plan?.host ?? {};
  if (plan === undefined || senders === undefined || allowedMac !== undefined) return;
  const replace = (host: PortPlan, by: PortPlan) => {
    // First, so that whoever takes the port down finds all of it.
    records?.amend(attachment, { plan: { ...plan, host: by } });
    withNftables(kernel, (nft) => {
      unguardPorts(nft, [host]);
      guardPort(nft, by, attachmentLabel(attachment));
    });
  };
  const host = { ...plan.host, senders: { ...senders, macs: [mac] } };
  undo.push(() => replace(host, plan.host));
  replace(plan.host, host);
}
