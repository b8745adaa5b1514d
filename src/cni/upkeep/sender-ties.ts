/**
 * Pods that ran before policies were enforced here, or were attached by a process without them: from now on they
 * send under their own addresses alone. What they may send as is in one transaction for each, so no packet is lost.
 */
import type { Mac } from '../../net/mac.ts';
import { joinErrors } from '../../util/errors.ts';
import { Turn } from '../../util/turns.ts';
import { attachmentLabel, vethMacs } from '../attachment.ts';
import type { AttachmentRecord } from '../attachment-records.ts';
import { guardPort, sendersOf, unguardPorts } from '../bridge/spoof.ts';
import { openPlace } from '../machine.ts';
import { type UpkeepNode, withNftables, withRtnl } from '../node.ts';
import type { NodePlan } from '../node-plan.ts';
import type { SameNodeFacts } from './same-node.ts';
import { isStillThere } from './same-node-conversion.ts';

/** A pod whose port takes frames of any sender although it has addresses of its own. */
interface Untied {
  readonly record: AttachmentRecord;
  readonly plan: NodePlan;
}

/**
 * Ties these pods' addresses to their ports; those that are, and those whose addresses are not known, are left
 * alone. Gives how many were tied, and what went wrong with others: the next call does them.
 */
export async function tieSenders(
  node: UpkeepNode,
  records: readonly AttachmentRecord[],
  facts: SameNodeFacts,
): Promise<{ readonly tied: number; readonly error: Error | undefined }> {
  const errors: unknown[] = [];
  const turn = new Turn();
  let tied = 0;
  for (const untied of untiedOf(records, facts)) {
    try {
      const macs = macsOf(untied, records, facts, macInside(node, untied.record));
      if (tie(node, untied, macs)) tied++;
    } catch (thrown) {
      errors.push(thrown);
    }
    if (turn.isOver) await turn.next();
  }
  return { tied, error: joinErrors(errors, 'pods may send under addresses of others') };
}

/** Lets these pods send under any address again, those that policies have tied. */
export function untieSenders(node: UpkeepNode, records: readonly AttachmentRecord[]): void {
  for (const { attachment, plan } of records) {
    if (plan?.host.senders === undefined) continue;
    const { senders: _, ...host } = plan.host;
    // First, so that nobody puts it back.
    node.records.amend(attachment, { plan: { ...plan, host } });
    withNftables(node.kernel, (nft) => {
      unguardPorts(nft, [plan.host]);
      if (host.allowedMac !== undefined) guardPort(nft, host, attachmentLabel(attachment));
    });
  }
}

function untiedOf(
  records: readonly AttachmentRecord[],
  { links }: SameNodeFacts,
): readonly Untied[] {
  const names = new Set(links.map(({ name }) => name));
  return records.flatMap((record): readonly Untied[] => {
    const { plan, addresses } = record;
    if (plan === undefined || plan.host.senders !== undefined) return [];
    const isKnown = sendersOf(plan.host, [], addresses) !== undefined;
    return isKnown && names.has(plan.host.name) ? [{ record, plan }] : [];
  });
}

/**
 * What the pod may have: that of its ADD, that of its end of the pair, and that by which the node knows it, since a
 * machine in the pod may have taken over the former. None that another pod was given.
 */
export function macsOf(
  { record, plan }: Untied,
  records: readonly AttachmentRecord[],
  { neighbours }: Pick<SameNodeFacts, 'neighbours'>,
  inside: Mac | undefined,
): readonly Mac[] {
  const others = new Set(records.flatMap((other) => (other === record ? [] : givenMacs(other))));
  const known = neighbours
    .filter(({ address }) => record.addresses.includes(address))
    .flatMap(({ mac }) => mac ?? []);
  const found = [...(inside === undefined ? [] : [inside]), ...known];
  const own = found.filter((mac) => !others.has(mac));
  return [...new Set([...givenMacs({ ...record, plan }), ...own])];
}

function givenMacs({ attachment, plan }: AttachmentRecord): readonly Mac[] {
  const { allowedMac, senders } = plan?.host ?? {};
  const told = [allowedMac, plan?.sameNode?.mac, ...(senders?.macs ?? [])].flatMap(
    (mac) => mac ?? [],
  );
  return told.length > 0 ? told : [vethMacs(attachment).pod];
}

/** Undefined where the namespace is gone, or cannot be seen from here. */
function macInside(
  { kernel }: UpkeepNode,
  { netns: place, attachment }: AttachmentRecord,
): Mac | undefined {
  const netns = openPlace(kernel.netnses, place);
  if (netns === undefined) return undefined;
  try {
    return withRtnl(kernel, netns, (rtnl) => rtnl.link(attachment.ifName)?.mac);
  } finally {
    netns.close();
  }
}

/** False for a pod that has gone meanwhile. */
function tie(node: UpkeepNode, { record, plan }: Untied, macs: readonly Mac[]): boolean {
  const senders = sendersOf(plan.host, macs, record.addresses);
  if (senders === undefined || !isStillThere(record, node)) return false;
  const { attachment } = record;
  const host = { ...plan.host, senders };
  withNftables(node.kernel, (nft) => guardPort(nft, host, attachmentLabel(attachment)));
  node.records.amend(attachment, { plan: { ...plan, host } });
  return true;
}
