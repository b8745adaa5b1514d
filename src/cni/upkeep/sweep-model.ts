/** What a sweep decides on, and what it decides: values. */
import type { IP } from '../../net/ip.ts';
import type { Attachment } from '../attachment.ts';
import type { AttachmentRecord } from '../attachment-records.ts';

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
  /** The pod's namespace is not where ADD was told it is. */
  readonly isNetnsGone: boolean;
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
