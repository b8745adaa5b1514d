/**
 * What is left of attachments that live no more: a decision on facts. It errs to the side of
 * keeping: whatever one piece of evidence calls alive stays.
 */
import type { IP } from '../../net/ip.ts';
import { type Attachment, attachmentKey, attachmentLabel } from '../attachment.ts';
import type { AttachmentRecord } from './records.ts';

/** Facts are gathered in the order of these fields, so that an ADD in between is never half seen. */
export interface SweepFacts {
  /** Elements of the masquerade maps. */
  readonly masquerades: readonly { readonly address: IP; readonly label: string }[];
  /** Ports whose senders are looked at (macspoofchk). */
  readonly guardedPorts: readonly { readonly port: string; readonly label: string }[];
  readonly hostPorts: readonly PublishedPorts[];
  readonly links: readonly { readonly name: string; readonly alias: string | undefined }[];
  readonly records: readonly RecordFacts[];
  readonly reservations: readonly StoredReservation[];
  /** Attachments whose ADD began and did not end. */
  readonly unfinished: readonly UnfinishedAdd[];
  /** What the runtime says; undefined when it was not asked or did not answer. */
  readonly sandboxes?: Sandboxes;
  /**
   * Addresses on any link of any namespace of the machine; undefined when that was not looked at
   * or not all of it could be seen.
   */
  readonly usedAddresses?: ReadonlySet<IP>;
  readonly bootId: string;
  /** When this boot began, ms since the epoch. */
  readonly bootedAtMs: number;
  readonly nowMs: number;
  /** Nothing younger is touched. */
  readonly gracePeriodMs: number;
}

export interface RecordFacts {
  readonly record: AttachmentRecord;
  /** The path given at ADD leads to the same namespace still. */
  readonly isNetnsAtPath: boolean;
  /** The node's end of its pair is there; the kernel deletes it with the pod's end. */
  readonly hasLink: boolean;
}

/** One address file of host-local's. */
export interface StoredReservation {
  /** Directory of the network's files: `<dataDir>/<network>`. */
  readonly dataDir: string;
  readonly network: string;
  readonly address: IP;
  readonly containerId: string;
  /** Undefined in files of one line. */
  readonly ifName: string | undefined;
  /** Milliseconds since the epoch. */
  readonly writtenAtMs: number;
}

export interface UnfinishedAdd {
  readonly attachment: Attachment;
  /** Milliseconds since the epoch. */
  readonly begunAtMs: number;
}

export interface PublishedPorts {
  readonly attachment: Attachment;
  /** Addresses the ports lead to. */
  readonly targets: readonly IP[];
}

/** Ids of sandboxes the runtime knows. */
export interface Sandboxes {
  readonly ready: ReadonlySet<string>;
  /** In any state, the ready ones among them. */
  readonly known: ReadonlySet<string>;
}

/**
 * Why something belongs to nobody: its ADD was killed, its namespace is gone, it is from before the
 * boot, the runtime does not know its sandbox, or nothing that it refers to is there.
 */
export type SweepReason = 'killed' | 'namespace' | 'boot' | 'runtime' | 'orphan';

export type Removal =
  /** Everything a DEL removes. */
  | {
      readonly kind: 'attachment';
      readonly reason: SweepReason;
      readonly attachment: Attachment;
      readonly record?: AttachmentRecord;
    }
  | {
      readonly kind: 'reservation';
      readonly reason: SweepReason;
      readonly reservation: StoredReservation;
    }
  | { readonly kind: 'masquerade'; readonly reason: SweepReason; readonly address: IP }
  | { readonly kind: 'guardedPort'; readonly reason: SweepReason; readonly port: string }
  | { readonly kind: 'hostPorts'; readonly reason: SweepReason; readonly attachment: Attachment };

export interface SweepDecision {
  readonly removals: readonly Removal[];
  /**
   * Reservations that may be leaks but are not proven to be: made without a record, old, and on no
   * link as far as that was looked at.
   */
  readonly suspected: readonly StoredReservation[];
  /** Without `usedAddresses` some decisions could only be to keep. */
  readonly needsAddresses: boolean;
}

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
    needsAddresses: facts.usedAddresses === undefined && suspected.length + lost.length > 0,
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
  // A namespace elsewhere of the same number proves nothing: the kernel gives numbers again at once.
  return isNetnsAtPath || hasLink ? undefined : 'namespace';
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

/** Of pods that another plugin made: only the runtime can tell that they are gone. */
function lostHostPorts(
  facts: SweepFacts,
  { aliveKeys, deadKeys }: Owners,
  containers: ReadonlySet<string>,
): readonly PublishedPorts[] {
  return facts.hostPorts.filter(({ attachment }) => {
    const { containerId } = attachment;
    const key = attachmentKey(attachment);
    if (aliveKeys.has(key) || deadKeys.has(key) || containers.has(containerId)) return false;
    return isUnknown(containerId, facts);
  });
}

function unusedHostPorts(
  lost: readonly PublishedPorts[],
  usedAddresses: ReadonlySet<IP> | undefined,
): readonly Removal[] {
  if (usedAddresses === undefined) return [];
  return lost
    .filter(({ targets }) => !targets.some((target) => usedAddresses.has(target)))
    .map(({ attachment }) => ({ kind: 'hostPorts', reason: 'runtime', attachment }));
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
