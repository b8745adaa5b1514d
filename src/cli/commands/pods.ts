/** `weft pods`: the pods of this node, asked of its agent or read from its records. */
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import { podsText } from '../../agent/debug/lists/text.ts';
import type { ListedPod } from '../../agent/debug/lists/values.ts';
import type { PodsRequest } from '../../agent/debug/questions/lists.ts';
import type { Command } from '../command.ts';
import { declareListFlags, printList, wantedOf } from '../list.ts';
import { askOrRead, type RecordEffects, recordNote } from '../on-record.ts';

const EPILOGUE = `Lists the pods of this node that weft has made interfaces for, with their addresses. It works
without an agent too, from the records in the run directory. NAME is a pod, or NAMESPACE/NAME.

Examples:
  weft pods
  weft pods --namespace shop --output wide
  weft pods --output json | jq -r '.items[].name'
  weft pods --watch`;

export const podsCommand: Command = {
  name: 'pods',
  describe: 'List the pods of this node and their addresses',
  argument: 'NAME',
  declare: (declaration) => {
    declaration.usage('weft pods [NAME] [flags]').epilogue(EPILOGUE);
    return declareListFlags(declaration, { hasNamespace: true });
  },
  run: runPods,
};

export async function runPods(flags: FlagValues, effects: RecordEffects): Promise<number> {
  const wanted = wantedOf(flags);
  const request: PodsRequest = { command: 'pods', ...wanted };
  const look = () =>
    askOrRead<ListedPod>(flags, request, effects, async (records) =>
      (await import('../records.ts')).listPods(records, wanted),
    );
  return printList(
    flags,
    effects,
    look,
    (listing, options) => podsText(listing.items, options) + recordNote(listing),
  );
}
