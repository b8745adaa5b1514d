/** What is remembered of attachments, and where. */
import type { IptablesVariant } from '../iptables/command.ts';
import type { Route } from '../kernel/types.ts';
import type { IPWithPrefix } from '../net/cidr.ts';
import type { IP } from '../net/ip.ts';
import type { Attachment, NetnsPlace } from './attachment.ts';
import type { NodePlan } from './node-plan.ts';
import type { Environment } from './protocol/request.ts';

/** A bridge and what its pods may be sent. */
export interface Isolation {
  readonly bridge: string;
  readonly policy: 'same-bridge' | 'isolated';
}

/** From CNI_ARGS, as far as the runtime told. */
export interface PodIdentity {
  readonly podNamespace?: string;
  readonly podName?: string;
  readonly podUid?: string;
}

export interface RecordedIpam {
  readonly type: string;
  readonly dataDir?: string;
  /** For another plugin: what it is executed with to take the addresses back. */
  readonly execution?: {
    readonly stdin: string;
    /** CNI_* and PATH. */
    readonly env: Environment;
    /** Directories of CNI_PATH. */
    readonly path: readonly string[];
  };
}

/** What the firewall member has let through for an attachment. */
export interface Forwarded {
  readonly adminChain: string;
  /** Absent in records of releases that let the pod's whole subnet through: those of the record. */
  readonly addresses?: readonly IP[];
  /** Absent: ingressPolicy is open. */
  readonly isolation?: Isolation;
  /** Of firewalld, which has the addresses; absent: they are in rules of iptables. */
  readonly zone?: string;
  /** A DEL is taking it back: nobody puts it right again. */
  readonly isLeaving?: true;
}

/** A route of table main, on the pod's end. */
export type RecordedRoute = Omit<Route, 'link' | 'table'>;

/** What an ADD has put into the pod. */
export interface RecordedInside {
  readonly addresses: readonly IPWithPrefix[];
  readonly routes: readonly RecordedRoute[];
  /** Absent: that of the bridge. */
  readonly mtu?: number;
}

/** What an attachment is, for whoever has to find out later whether it lives and what it needs. */
export interface AttachmentEntry {
  readonly attachment: Attachment;
  /** With the path as given at ADD. */
  readonly netns: NetnsPlace;
  readonly pod: PodIdentity;
  /** The shim's execution that asked for it; absent when the standalone was executed directly. */
  readonly callId?: string;
  readonly addresses: readonly IP[];
  /** The configuration's IPAM; absent for a layer 2 network. */
  readonly ipam?: RecordedIpam;
  /** What it needs of the node; absent when another plugin makes the interface and asks us for addresses. */
  readonly plan?: NodePlan;
  /** Absent in records of earlier releases, and where the interface was left down. */
  readonly inside?: RecordedInside;
}

export interface AttachmentRecord extends AttachmentEntry {
  /** /proc/sys/kernel/random/boot_id at ADD. */
  readonly bootId: string;
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number;
  /** Absent: packets are forwarded without rules of ours. */
  readonly forwarded?: Forwarded;
  /** Of which variant the rules of `plan.iptablesMasquerade` are; absent until they are made. */
  readonly iptablesVariant?: IptablesVariant;
}

/**
 * One file per attachment on a tmpfs: after a reboot there are none. Written before an ADD makes
 * anything, removed last of all.
 */
export interface AttachmentRecords {
  /** Replaces the attachment's former record. Throws IoError. */
  write(entry: AttachmentEntry): void;
  read(attachment: Attachment): AttachmentRecord | undefined;
  /** Adds to the attachment's record; without one nothing is kept. Throws IoError. */
  amend(
    attachment: Attachment,
    change: Pick<AttachmentRecord, 'forwarded' | 'iptablesVariant' | 'plan'>,
  ): void;
  /** No record is no error. */
  remove(attachment: Attachment): void;
  /** What records are kept under, whether or not they can be understood. */
  keys(): readonly string[];
  /** All of them, or those with these keys; files that cannot be understood are left out. */
  list(keys?: readonly string[]): readonly AttachmentRecord[];
}
