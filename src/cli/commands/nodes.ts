/** `weft nodes`: the nodes of the cluster and the ways to their pods. */
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import { nodesText } from '../../agent/debug/lists/text.ts';
import type { NodesAnswer } from '../../agent/debug/lists/values.ts';
import type { NodesRequest } from '../../agent/debug/questions/lists.ts';
import type { Command } from '../command.ts';
import { declareListFlags, type ListEffects, printList } from '../list.ts';
import { ask } from '../question.ts';

const EPILOGUE = `Lists the nodes that the fabric knows, a line for each podCIDR: the way to its pods, the largest packet
that a probe found to arrive there, and when it was probed; wide adds the size that pods send. WAY is
direct, vxlan, unreachable, or none where nothing leads to pods. Lines with ! tell what is wrong.

Examples:
  weft nodes
  weft nodes --output wide
  weft nodes --output json`;

export const nodesCommand: Command = {
  name: 'nodes',
  describe: 'List nodes, the ways to their pods and what probes found',
  declare: (declaration) => {
    declaration.usage('weft nodes [flags]').epilogue(EPILOGUE);
    return declareListFlags(declaration);
  },
  run: runNodes,
};

export async function runNodes(flags: FlagValues, effects: ListEffects): Promise<number> {
  const request: NodesRequest = { command: 'nodes' };
  // The agent answers a request of this command with this shape.
  const look = async () => (await ask(flags, request, effects)) as NodesAnswer;
  return printList(flags, effects, look, nodesText);
}
