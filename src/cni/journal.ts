import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IoError, toError } from '../util/errors.ts';
import { namesIn, readIfReadable, writingInto } from '../util/files.ts';
import { parseJson } from '../util/json.ts';
import { type Attachment, attachmentKey, decodeNetnsPlace, type NetnsPlace } from './attachment.ts';
import { type Journal, withRtnl } from './node.ts';
import type { NetnsCall, Plugin } from './plugin.ts';
import { isJsonObject } from './protocol/json.ts';
import { type UndoList, withUndo } from './undo.ts';

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

/**
 * An ADD with an entry in the journal while anything half-made may be left: what a killed one left is
 * removed first, and an undo that was not complete keeps the entry. Alone in the pod: an ADD of the
 * same attachment at the same time would be taken for a killed one.
 */
export function journaled(
  plugin: Plugin,
  call: NetnsCall,
  add: (undo: UndoList) => string,
): string {
  const release = call.node.kernel.claimNetns(call.netns);
  try {
    return journaledAlone(plugin, call, add);
  } finally {
    release();
  }
}

function journaledAlone(plugin: Plugin, call: NetnsCall, add: (undo: UndoList) => string): string {
  const { journal, kernel } = call.node;
  const { attachment, netns, request } = call;
  if (journal.isUnfinished(attachment) || wasMadeByThisCall(call)) {
    plugin.del(call);
  }
  // A repeated ADD of a pod in use is refused by the plugin. It gets no entry: an entry that
  // outlives a killed call would have the pod torn down by the next one.
  const isInUse = withRtnl(kernel, netns, (pod) => pod.link(attachment.ifName) !== undefined);
  if (isInUse) return withUndo(add);
  journal.begin(attachment, { path: request.netnsPath, id: netns.id });
  const text = withUndo(add, () => journal.end(attachment));
  journal.end(attachment);
  return text;
}

/** The agent finished this very ADD and died before its answer arrived; nobody knows the pod yet. */
function wasMadeByThisCall({ request, node, attachment }: NetnsCall): boolean {
  const callId = request.env['WEFT_CALL'];
  return callId !== undefined && node.records?.read(attachment)?.callId === callId;
}
