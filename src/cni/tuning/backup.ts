/**
 * What links looked like before they were tuned, one file per attachment in the reference's format
 * and place, so that either restores what the other saved.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { LinkChange } from '../../kernel/types.ts';
import { parseMac } from '../../net/mac.ts';
import { IoError, toError } from '../../util/errors.ts';
import { createFile, namesIn, writingInto } from '../../util/files.ts';
import { isText } from '../../util/json.ts';
import type { Attachment } from '../attachment.ts';
import { isJsonObject } from '../protocol/json.ts';

/** A tmpfs: a reboot restores links, too. */
export const DEFAULT_BACKUP_DIRECTORY = '/run/cni/tuning';

export interface Backup {
  /** Absent in what the reference saved. */
  readonly owner?: Attachment;
  readonly change: LinkChange;
}

/** Keeps what is there already: the first ADD has seen the original values. */
export function saveBackup(directory: string, attachment: Attachment, change: LinkChange): void {
  const { mac, mtu, isPromiscuous: promisc, isAllMulticast: allmulti, txQueueLength } = change;
  // JSON leaves out what is undefined.
  const saved = { mac, promisc, mtu, allmulti, txQLen: txQueueLength };
  const text = JSON.stringify({ ...saved, ...attachment });
  const file = fileOf(directory, attachment);
  try {
    writingInto(directory, () => createFile(file, text));
  } catch (cause) {
    throw new IoError(`save link settings in ${file}: ${toError(cause).message}`, { cause });
  }
}

/** Undefined when nothing was saved, or it cannot be read. */
export function readBackup(directory: string, attachment: Attachment): Backup | undefined {
  return readFile(fileOf(directory, attachment));
}

export function removeBackup(directory: string, attachment: Attachment): void {
  rmSync(fileOf(directory, attachment), { force: true });
}

/** Everybody something was saved for; what the reference saved does not say. */
export function backupOwners(directory: string): readonly Attachment[] {
  return namesIn(directory).flatMap((name) => readFile(join(directory, name))?.owner ?? []);
}

function readFile(file: string): Backup | undefined {
  try {
    return parseBackup(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return undefined;
  }
}

function parseBackup(value: unknown): Backup {
  const members = isJsonObject(value) ? value : {};
  const { mac, promisc, mtu, allmulti, txQLen, network, containerId, ifName } = members;
  const isOwned = isText(network) && isText(containerId) && isText(ifName);
  return {
    ...(isOwned ? { owner: { network, containerId, ifName } } : {}),
    change: {
      ...(isText(mac) && mac !== '' ? { mac: parseMac(mac) } : {}),
      ...(typeof promisc === 'boolean' ? { isPromiscuous: promisc } : {}),
      ...(typeof mtu === 'number' && mtu > 0 ? { mtu } : {}),
      ...(typeof allmulti === 'boolean' ? { isAllMulticast: allmulti } : {}),
      ...(typeof txQLen === 'number' ? { txQueueLength: txQLen } : {}),
    },
  };
}

function fileOf(directory: string, { containerId, ifName }: Attachment): string {
  return join(directory, `${containerId}_${ifName}.json`);
}
