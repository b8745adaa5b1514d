import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IoError, toError } from '../util/errors.ts';
import { namesIn, readIfReadable, writingInto } from '../util/files.ts';
import { parseJson } from '../util/json.ts';
import { type Attachment, attachmentKey, decodeNetnsPlace, type NetnsPlace } from './attachment.ts';
import type { Journal } from './node.ts';
import { isJsonObject } from './protocol/json.ts';

/**
 * A journal of one small file per unfinished ADD below `directory`, which belongs on a tmpfs: after
 * a reboot nothing an ADD made is left either. The file holds the attachment and the pod's namespace
 * as JSON.
 */
export function openJournal(directory: string): Journal {
  const fileOf = (attachment: Attachment) => join(directory, attachmentKey(attachment));
  return {
    isUnfinished: (attachment) => existsSync(fileOf(attachment)),
    begin: (attachment, netns) => {
      try {
        const text = JSON.stringify({ ...attachment, netns });
        writingInto(directory, () => writeFileSync(fileOf(attachment), text, { mode: 0o600 }));
      } catch (cause) {
        removeEmpty(fileOf(attachment));
        throw new IoError(`journal in ${directory}: ${toError(cause).message}`, { cause });
      }
    },
    netnsOf: (attachment) => parseNetns(readIfReadable(fileOf(attachment)) ?? ''),
    unfinished: () => readEntries(directory),
    end: (attachment) => rmSync(fileOf(attachment), { force: true }),
  };
}

/** What a full disk leaves of an entry; where it cannot be removed it could not be made either. */
function removeEmpty(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // The failure to write is what is told.
  }
}

function readEntries(directory: string): readonly Attachment[] {
  return namesIn(directory).flatMap((name) => {
    // An ADD may end while the directory is read.
    const attachment = parseEntry(readIfReadable(join(directory, name)) ?? '');
    return attachment === undefined ? [] : [attachment];
  });
}

/** A process killed between creating and writing leaves an empty file: that ADD made nothing yet. */
function parseEntry(text: string): Attachment | undefined {
  const entry = parseJson(text);
  if (!isJsonObject(entry)) return undefined;
  const { network, containerId, ifName } = entry;
  if (typeof network !== 'string' || typeof containerId !== 'string') return undefined;
  return typeof ifName === 'string' ? { network, containerId, ifName } : undefined;
}

function parseNetns(text: string): NetnsPlace | undefined {
  const entry = parseJson(text);
  return isJsonObject(entry) ? decodeNetnsPlace(entry['netns']) : undefined;
}
