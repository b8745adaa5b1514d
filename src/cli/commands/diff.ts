/** `weft diff`: what the agent that runs on this node would change in the kernel now. */

import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import { differenceText, hasDifferences } from '../../agent/debug/difference-text.ts';
import type { TableDifference } from '../../proxy/modes/nftables/difference.ts';
import { prettyJson } from '../../util/json.ts';
import type { Command } from '../command.ts';
import type { Declaration } from '../declaration.ts';
import { declareOutputAndJson, wantsJson } from '../output-flag.ts';
import { ask, declareRunDir, plain, type QuestionEffects } from '../question.ts';

const EPILOGUE = `Compares the nftables tables in the kernel with what the agent wants them to be, and changes
nothing (an agent in mode iptables has no such tables, and says so): + is
missing, - is too much, ~ is there with something else. Changes by somebody else are repaired by
the agent at once, so what stays listed is worth a look at its log.

Exit codes: 0 no difference, 1 some, 2 failure.`;

export const diffCommand: Command = {
  name: 'diff',
  describe: 'Tell what the agent would change in the kernel now',
  answersWithOne: true,
  declare,
  run: runDiff,
};

function declare(declaration: Declaration): Declaration {
  declaration.usage('weft diff [flags]').epilogue(EPILOGUE);
  return declareRunDir(declareOutputAndJson(declaration));
}

/** Prints what the agent would change now; 1 when that is something, 0 when it is nothing. */
export async function runDiff(flags: FlagValues, effects: QuestionEffects): Promise<number> {
  const isJson = wantsJson(flags);
  // The agent answers a request of this command with this shape.
  const tables = (await ask(flags, { command: 'diff' }, effects)) as readonly TableDifference[];
  effects.print(isJson ? prettyJson(tables) : plain(differenceText(tables)));
  return hasDifferences(tables) ? 1 : 0;
}
