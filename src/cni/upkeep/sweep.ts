/**
 * What is left of attachments that live no more: a decision on facts. It errs to the side of
 * keeping: whatever one piece of evidence calls alive stays.
 */
import type { IP } from '../../net/ip.ts';
import { type Attachment, attachmentKey, attachmentLabel } from '../attachment.ts';
import type {
  PublishedPorts,
  RecordFacts,
  Removal,
  StoredReservation,
  SweepDecision,
  SweepFacts,
  SweepReason,
} from './sweep-model.ts';

/** Pure: the same facts give the same decision. */
export function decideSweep(facts: SweepFacts): SweepDecision {
  const owners = judgeOwners(facts);
  const verdicts = facts.reservations.map((reservation) => ({
    reservation,
    verdict: judgeReservation(reservation, facts, owners),
  }));
  const kept = verdicts
    .filter(({ verdict }) => verdict === 'keep' || verdict === 'suspect')
    .map(({ reservation }) => reservation);
  const suspected = verdicts
    .filter(({ verdict }) => verdict === 'suspect')
    .map(({ reservation }) => reservation);
  const containers = new Set(kept.map(({ containerId }) => containerId));
  const lost = lostHostPorts(facts, owners, containers);
  const inDoubt = facts.records.filter((record) => isInDoubt(record, facts));
  return {
    removals: [
      ...owners.dead,
      ...verdicts.flatMap(({ reservation, verdict }): readonly Removal[] => {
        if (verdict === 'keep' || verdict === 'suspect' || verdict === 'covered') return [];
        return [{ kind: 'reservation', reason: verdict, reservation }];
      }),
      ...lostMasquerades(facts, owners, new Set(kept.map(({ address }) => address))),
      ...lostGuards(facts, owners),
      ...unusedHostPorts(lost, facts.usedAddresses),
    ],
    suspected,
    needsAddresses:
      facts.usedAddresses === undefined && suspected.length + lost.length + inDoubt.length > 0,
  };
}

type DeadAttachment = Extract<Removal, { kind: 'attachment' }>;

interface Owners {
  readonly dead: readonly DeadAttachment[];
  readonly deadKeys: ReadonlySet<string>;
  /** Attachments that live or are being made. */
  readonly aliveKeys: ReadonlySet<string>;
  readonly aliveAddresses: ReadonlySet<IP>;
  /** Labels of both: their elements stay, or go with them. */
  readonly labels: ReadonlySet<string>;
}

function judgeOwners(facts: SweepFacts): Owners {
  const dead = new Map<string, DeadAttachment>();
  const alive = new Map<string, Attachment>();
  const aliveAddresses = new Set<IP>();
  for (const { attachment, begunAtMs } of facts.unfinished) {
    const key = attachmentKey(attachment);
    if (isYoung(begunAtMs, facts) || isReady(attachment, facts)) alive.set(key, attachment);
    else dead.set(key, { kind: 'attachment', reason: 'killed', attachment });
  }
  for (const recordFacts of facts.records) {
    const { record } = recordFacts;
    const { attachment } = record;
    const key = attachmentKey(attachment);
    const reason =
      dead.get(key)?.reason ?? (alive.has(key) ? undefined : whyDead(recordFacts, facts));
    if (reason === undefined) {
      alive.set(key, attachment);
      for (const address of record.addresses) aliveAddresses.add(address);
    } else {
      dead.set(key, { kind: 'attachment', reason, attachment, record });
    }
  }
  const all = [...alive.values(), ...[...dead.values()].map(({ attachment }) => attachment)];
  return {
    dead: [...dead.values()],
    deadKeys: new Set(dead.keys()),
    aliveKeys: new Set(alive.keys()),
    aliveAddresses,
    labels: new Set(all.map(attachmentLabel)),
  };
}

/** Why a recorded attachment is dead; undefined while anything speaks for its life. */
function whyDead(
  { record, isNetnsAtPath, hasLink }: RecordFacts,
  facts: SweepFacts,
): SweepReason | undefined {
  if (isReady(record.attachment, facts)) return undefined;
  if (record.bootId !== facts.bootId) return 'boot';
  if (isYoung(record.createdAtMs, facts)) return undefined;
  if (record.plan === undefined) return whyAddressesUnused({ record, isNetnsAtPath }, facts);
  // A namespace elsewhere of the same number proves nothing: the kernel gives numbers again at once.
  return isNetnsAtPath || hasLink ? undefined : 'namespace';
}

/** The interface is another plugin's: it is gone for sure only when its addresses are nowhere. */
function whyAddressesUnused(
  { record, isNetnsAtPath }: Pick<RecordFacts, 'record' | 'isNetnsAtPath'>,
  facts: SweepFacts,
): SweepReason | undefined {
  const { usedAddresses } = facts;
  if (usedAddresses === undefined) return undefined;
  if (record.addresses.some((address) => usedAddresses.has(address))) return undefined;
  if (!isNetnsAtPath) return 'namespace';
  return isUnknown(record.attachment.containerId, facts) ? 'runtime' : undefined;
}

/** Whether such a record may be dead, as far as can be told without looking for its addresses. */
function isInDoubt({ record, isNetnsAtPath }: RecordFacts, facts: SweepFacts): boolean {
  const { plan, attachment, createdAtMs } = record;
  if (plan !== undefined || isReady(attachment, facts) || isYoung(createdAtMs, facts)) return false;
  return !isNetnsAtPath || isUnknown(attachment.containerId, facts);
}

/** `covered`: goes with its attachment. */
type ReservationVerdict = 'keep' | 'suspect' | 'covered' | SweepReason;

function judgeReservation(
  reservation: StoredReservation,
  facts: SweepFacts,
  owners: Owners,
): ReservationVerdict {
  const { containerId, address, writtenAtMs } = reservation;
  const owned = ownership(reservation, facts, owners);
  if (owned !== undefined) return owned;
  if (isReady(reservation, facts)) return 'keep';
  const isFromBefore = writtenAtMs < facts.bootedAtMs;
  if (!isFromBefore && isYoung(writtenAtMs, facts)) return 'keep';
  if (facts.usedAddresses === undefined) return 'suspect';
  // Also what looks older than the boot: the clock may have been wrong when it was written.
  if (facts.usedAddresses.has(address)) return 'keep';
  if (isFromBefore) return 'boot';
  return isUnknown(containerId, facts) ? 'runtime' : 'suspect';
}

/** What its record or its journal entry says; undefined when it has neither. */
function ownership(
  { network, containerId, ifName }: StoredReservation,
  { records, unfinished }: SweepFacts,
  { aliveKeys, deadKeys }: Owners,
): 'keep' | 'covered' | undefined {
  const keys =
    ifName === undefined
      ? [...records.map(({ record }) => record), ...unfinished]
          .map(({ attachment }) => attachment)
          .filter((other) => other.network === network && other.containerId === containerId)
          .map(attachmentKey)
      : [attachmentKey({ network, containerId, ifName })];
  if (keys.some((key) => aliveKeys.has(key))) return 'keep';
  return keys.some((key) => deadKeys.has(key)) ? 'covered' : undefined;
}

/** A link of that label may be a pod's of an earlier release, which made no records. */
function lostMasquerades(
  { masquerades, links }: SweepFacts,
  { aliveAddresses, labels, dead }: Owners,
  reserved: ReadonlySet<IP>,
): readonly Removal[] {
  const aliases = new Set(links.map(({ alias }) => alias));
  const goneWithOwner = new Set(dead.flatMap(({ record }) => record?.addresses ?? []));
  return masquerades.flatMap(({ address, label }): readonly Removal[] => {
    const isHeld = reserved.has(address) || aliveAddresses.has(address);
    if (isHeld || labels.has(label) || aliases.has(label) || goneWithOwner.has(address)) return [];
    return [{ kind: 'masquerade', reason: 'orphan', address }];
  });
}

/** A guard without its port guards nothing. */
function lostGuards({ guardedPorts, links }: SweepFacts, { labels }: Owners): readonly Removal[] {
  const names = new Set(links.map(({ name }) => name));
  return guardedPorts.flatMap(({ port, label }): readonly Removal[] => {
    if (names.has(port) || labels.has(label)) return [];
    return [{ kind: 'guardedPort', reason: 'orphan', port }];
  });
}

/** Of pods that another plugin made: their namespace or the runtime tells that they are gone. */
function lostHostPorts(
  facts: SweepFacts,
  { aliveKeys, deadKeys }: Owners,
  containers: ReadonlySet<string>,
): readonly PublishedPorts[] {
  return facts.hostPorts.filter(({ attachment, isNetnsGone }) => {
    const { containerId } = attachment;
    const key = attachmentKey(attachment);
    if (aliveKeys.has(key) || deadKeys.has(key) || containers.has(containerId)) return false;
    return isNetnsGone ? !isReady(attachment, facts) : isUnknown(containerId, facts);
  });
}

function unusedHostPorts(
  lost: readonly PublishedPorts[],
  usedAddresses: ReadonlySet<IP> | undefined,
): readonly Removal[] {
  if (usedAddresses === undefined) return [];
  return lost
    .filter(({ targets }) => !targets.some((target) => usedAddresses.has(target)))
    .map(({ attachment, isNetnsGone }) => {
      return { kind: 'hostPorts', reason: isNetnsGone ? 'namespace' : 'runtime', attachment };
    });
}

function isReady({ containerId }: { readonly containerId: string }, facts: SweepFacts): boolean {
  return facts.sandboxes?.ready.has(containerId) === true;
}

function isUnknown(containerId: string, { sandboxes }: SweepFacts): boolean {
  return sandboxes !== undefined && !sandboxes.known.has(containerId);
}

function isYoung(sinceMs: number, { nowMs, gracePeriodMs }: SweepFacts): boolean {
  return nowMs - sinceMs < gracePeriodMs;
}
