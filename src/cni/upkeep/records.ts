import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { IoError, toError } from '../../util/errors.ts';
import {
  namesIn,
  readIfReadable,
  replaceFile,
  UNFINISHED_SUFFIX,
  writingInto,
} from '../../util/files.ts';
import { parseJson } from '../../util/json.ts';
import { attachmentKey } from '../attachment.ts';
import type { AttachmentRecord, AttachmentRecords } from '../attachment-records.ts';
import type { AttachmentPlan } from '../bridge/plan.ts';
import type { NodePlan } from '../node-plan.ts';

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
  const { label, bridge, vlanGateway, host, forwarding, masquerade } = plan;
  const { sameNode, iptablesMasquerade } = plan;
  const routed = sameNode === undefined ? {} : { sameNode };
  const gateway = vlanGateway === undefined ? {} : { vlanGateway };
  const iptables = iptablesMasquerade === undefined ? {} : { iptablesMasquerade };
  return { label, bridge, ...gateway, host, ...routed, forwarding, masquerade, ...iptables };
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
