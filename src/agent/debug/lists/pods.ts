/** Pods of this node as the records of their interfaces have them; the same with and without an agent. */

import { type Attachment, attachmentKey, hostVethName } from '../../../cni/attachment.ts';
import type { AttachmentRecord } from '../../../cni/attachment-records.ts';
import type { IP } from '../../../net/ip.ts';
import { compareText } from '../../../util/text-order.ts';
import { podKeyOf } from '../../policy/local-pods.ts';
import { isWanted, type Wanted } from './names.ts';
import type { ListedInterface, ListedPod, Listing } from './values.ts';

export interface PodFacts {
  readonly records: readonly AttachmentRecord[];
  /** With an entry in the journal. */
  readonly unfinished: readonly Attachment[];
}

/** By namespace and name; of one name the latest sandbox comes first. */
export function listPods({ records, unfinished }: PodFacts, wanted: Wanted): Listing<ListedPod> {
  const busy = new Set(unfinished.map(attachmentKey));
  const ofContainer = Map.groupBy(records, ({ attachment }) => attachment.containerId);
  const items = [...ofContainer.values()]
    .map((own) => listedPod(own.toSorted(byAge), busy))
    .filter(({ namespace, name }) => isWanted(`${namespace}/${name}`, wanted))
    .sort(byName);
  return { items, total: items.length };
}

/** Which pod of this node has an address. */
export function podsByAddress(records: readonly AttachmentRecord[]): ReadonlyMap<IP, string> {
  return new Map(
    records.flatMap((record) => {
      const key = podKeyOf(record.pod);
      return key === undefined ? [] : record.addresses.map((ip) => [ip, key] as const);
    }),
  );
}

function listedPod(own: readonly AttachmentRecord[], busy: ReadonlySet<string>): ListedPod {
  const [first] = own;
  const { podNamespace = '', podName: name = '', podUid } = first?.pod ?? {};
  return {
    namespace: podNamespace,
    name,
    ...(podUid === undefined ? {} : { uid: podUid }),
    container: first?.attachment.containerId ?? '',
    since: new Date(first?.createdAtMs ?? 0).toISOString(),
    interfaces: own.map((record) => listedInterface(record, busy)),
  };
}

function listedInterface(
  { attachment, addresses, plan, inside }: AttachmentRecord,
  busy: ReadonlySet<string>,
): ListedInterface {
  return {
    name: attachment.ifName,
    network: attachment.network,
    addresses,
    hostInterface: hostVethName(attachment),
    ...(plan === undefined ? {} : { bridge: plan.bridge.name }),
    ...(inside?.mtu === undefined ? {} : { mtu: inside.mtu }),
    isUnfinished: busy.has(attachmentKey(attachment)),
  };
}

function byAge(a: AttachmentRecord, b: AttachmentRecord): number {
  return a.createdAtMs - b.createdAtMs;
}

function byName(a: ListedPod, b: ListedPod): number {
  return (
    compareText(`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`) ||
    compareText(b.since, a.since)
  );
}
