import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { IptablesVariant } from '../../iptables/command.ts';
import type { IP } from '../../net/ip.ts';
import { IoError, toError } from '../../util/errors.ts';
import {
  namesIn,
  readIfReadable,
  replaceFile,
  UNFINISHED_SUFFIX,
  writingInto,
} from '../../util/files.ts';
import { parseJson } from '../../util/json.ts';
import { type Attachment, attachmentKey, type NetnsPlace } from '../attachment.ts';
import type { AttachmentPlan } from '../bridge/plan.ts';
import type { Isolation } from '../firewall/config.ts';
import type { Environment } from '../protocol/request.ts';

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

/** The part of a plan that concerns the node and not the inside of the pod. */
export type NodePlan = Pick<
  AttachmentPlan,
  'label' | 'bridge' | 'vlanGateway' | 'host' | 'forwarding' | 'masquerade' | 'iptablesMasquerade'
>;

/** From CNI_ARGS, as far as the runtime told. */
export interface PodIdentity {
  readonly podNamespace?: string;
  readonly podName?: string;
  readonly podUid?: string;
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
    change: Pick<AttachmentRecord, 'forwarded' | 'iptablesVariant'>,
  ): void;
  /** No record is no error. */
  remove(attachment: Attachment): void;
  /** What records are kept under, whether or not they can be understood. */
  keys(): readonly string[];
  /** All of them, or those with these keys; files that cannot be understood are left out. */
  list(keys?: readonly string[]): readonly AttachmentRecord[];
}

export interface RecordsOptions {
  readonly bootId: () => string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Changes with the shape of records: those of another format are left out. */
const FORMAT = 1;

/** Opens the records in `directory`, which need not exist. */
export function openRecords(directory: string, { bootId, now }: RecordsOptions): AttachmentRecords {
  const fileOf = (key: string) => join(directory, key);
  const save = (record: AttachmentRecord) => {
    const file = fileOf(attachmentKey(record.attachment));
    try {
      const text = JSON.stringify({ format: FORMAT, ...record });
      // Whole or not at all; what a killed process leaves goes with the next ADD or DEL.
      writingInto(directory, () => replaceFile(file, text));
    } catch (cause) {
      throw new IoError(`record in ${file}: ${toError(cause).message}`, { cause });
    }
  };
  return {
    write: (entry) => save({ ...entry, bootId: bootId(), createdAtMs: now() }),
    amend: (attachment, change) => {
      const record = readRecord(directory, attachmentKey(attachment));
      if (record !== undefined) save({ ...record, ...change });
    },
    read: (attachment) => readRecord(directory, attachmentKey(attachment)),
    remove: (attachment) => {
      const file = fileOf(attachmentKey(attachment));
      rmSync(`${file}${UNFINISHED_SUFFIX}`, { force: true });
      rmSync(file, { force: true });
    },
    keys: () => recordNames(directory),
    list: (keys = recordNames(directory)) =>
      keys.flatMap((name) => readRecord(directory, name) ?? []),
  };
}

/** As a plan has more than a record keeps. */
export function nodePlanOf(plan: AttachmentPlan): NodePlan {
  const { label, bridge, vlanGateway, host, forwarding, masquerade, iptablesMasquerade } = plan;
  const gateway = vlanGateway === undefined ? {} : { vlanGateway };
  const iptables = iptablesMasquerade === undefined ? {} : { iptablesMasquerade };
  return { label, bridge, ...gateway, host, forwarding, masquerade, ...iptables };
}

function recordNames(directory: string): readonly string[] {
  return namesIn(directory).filter((name) => !name.endsWith(UNFINISHED_SUFFIX));
}

function readRecord(directory: string, key: string): AttachmentRecord | undefined {
  const text = readIfReadable(join(directory, key));
  return text === undefined ? undefined : decode(text, key);
}

/** Undefined for anything but a whole record of this format under its own name. */
function decode(text: string, key: string): AttachmentRecord | undefined {
  const value = parseJson(text);
  if (typeof value !== 'object' || value === null) return undefined;
  if (!('format' in value) || value.format !== FORMAT || !('attachment' in value)) return undefined;
  const { format: _, ...rest } = value;
  // Only this code, as root, writes files of this format, and it writes them whole; the key below
  // then says that the content belongs to the name.
  const record = rest as unknown as AttachmentRecord;
  return attachmentKey(record.attachment) === key ? record : undefined;
}
