import { withRtnl } from './node.ts';
import type { NetnsCall, Plugin } from './plugin.ts';
import { type UndoList, withUndo } from './undo.ts';

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
