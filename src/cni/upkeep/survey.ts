/** What the CNI side has on this node, for whoever takes it out: of nobody, and of pods that live. */
import { type Attachment, attachmentKey, attachmentLabel } from '../attachment.ts';
import type { AttachmentRecord } from '../attachment-records.ts';
import type { HostPortRecord } from '../host-ports.ts';
import { ownerText, portText } from '../portmap/record.ts';
import { type FactSources, findLost } from './facts.ts';
import type { Removal, SweepFacts } from './sweep-model.ts';

export interface Survey {
  readonly facts: SweepFacts;
  /** Of nobody, proven; addresses stay reserved for the runtime's DEL. */
  readonly lost: readonly Removal[];
  /** What living pods need of our tables, in words, each with its owner. */
  readonly needed: readonly string[];
  /** Living pods that are masqueraded by our table, which is not among `needed`. */
  readonly masqueraded: readonly AttachmentRecord[];
}

/**
 * Looks without a grace period: only a call that has begun is taken for alive whatever is missing.
 * `sources` are those of a sweep.
 */
export function surveyNode(sources: FactSources): Survey {
  const { facts, decision } = findLost({ ...sources, gracePeriodMs: 0 }, undefined, (found) => ({
    ...found,
    unfinished: found.unfinished.map((call) => ({ ...call, begunAtMs: Number.POSITIVE_INFINITY })),
  }));
  const lost = decision.removals.filter(({ kind }) => kind !== 'reservation');
  const gone = new Set(attachmentsOf(lost).map(attachmentKey));
  const masqueraded = facts.records
    .map(({ record }) => record)
    .filter(({ attachment, plan }) => {
      return !gone.has(attachmentKey(attachment)) && (plan?.masquerade.length ?? 0) > 0;
    });
  const movable = new Set(masqueraded.map(({ attachment }) => attachmentLabel(attachment)));
  const unmovable = facts.masquerades.filter(({ label }) => !movable.has(label));
  const published = sources.node.hostPorts.records();
  const needed = neededOf({ ...facts, masquerades: unmovable }, lost, published);
  return { facts, lost, needed, masqueraded };
}

function attachmentsOf(removals: readonly Removal[]): readonly Attachment[] {
  return removals.flatMap((removal) => ('attachment' in removal ? [removal.attachment] : []));
}

function neededOf(
  facts: SweepFacts,
  lost: readonly Removal[],
  published: readonly HostPortRecord[],
): readonly string[] {
  const gone = attachmentsOf(lost);
  const keys = new Set(gone.map(attachmentKey));
  const labels = new Set(gone.map(attachmentLabel));
  const addresses = new Set(
    lost.flatMap((item) => (item.kind === 'masquerade' ? [item.address] : [])),
  );
  const ports = new Set(lost.flatMap((item) => (item.kind === 'guardedPort' ? [item.port] : [])));
  return [
    ...published
      .filter(({ attachment }) => !keys.has(attachmentKey(attachment)))
      .map((record) => {
        return `host ports ${record.ports.map(portText).join(', ')} of ${ownerText(record)}`;
      }),
    ...facts.masquerades
      .filter(({ address, label }) => !addresses.has(address) && !labels.has(label))
      .map(({ address, label }) => `masquerade of ${address} of ${label}`),
    ...facts.guardedPorts
      .filter(({ port, label }) => !ports.has(port) && !labels.has(label))
      .map(({ port, label }) => `check of senders at ${port} of ${label}`),
    ...facts.records.flatMap(({ record: { attachment, forwarded } }) => {
      const isGone = keys.has(attachmentKey(attachment));
      const bridge = isGone ? undefined : forwarded?.isolation?.bridge;
      return bridge === undefined ? [] : `isolation of ${bridge} of ${attachmentLabel(attachment)}`;
    }),
  ];
}
