/** `weft policy list`: the policies that the agent of this node enforces. */

import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import type { PolicyListAnswer } from '../../agent/debug/policy.ts';
import { policyListText } from '../../agent/debug/policy-text.ts';
import { prettyJson } from '../../util/json.ts';
import type { Command } from '../command.ts';
import { declareOutput, wantsJson } from '../output-flag.ts';
import { ask, declareRunDir, plain, type QuestionEffects } from '../question.ts';

const EPILOGUE = `Lists the policies that the agent of this node enforces, in the order in which they decide: Admin by
priority, NetworkPolicies, Baseline. ALLOWED and DENIED count first packets of connections of pods of
this node; - means that nothing counts them. Lines with ! tell what is not supported and fails closed.

Examples:
  weft policy list
  weft policy list --all --output json`;

export const policyListCommand: Command = {
  name: 'policy list',
  describe: 'Tell which policies the agent of this node enforces',
  declare: (declaration) => {
    declaration.usage('weft policy list [flags]').epilogue(EPILOGUE);
    declaration.option('all', {
      type: 'boolean',
      describe: 'Also policies that select no pod of this node',
    });
    return declareRunDir(declareOutput(declaration));
  },
  run: runPolicyList,
};

export async function runPolicyList(flags: FlagValues, effects: QuestionEffects): Promise<number> {
  const isJson = wantsJson(flags);
  // The agent answers a request of this command with this shape.
  const answer = (await ask(flags, { command: 'policy list' }, effects)) as PolicyListAnswer;
  const isAll = flags['all'] === true;
  effects.print(isJson ? prettyJson(answer) : plain(policyListText(answer, { isAll })));
  return 0;
}
