/** `weft policy pod`: what policies allow and deny one pod. */

import { lastText } from '../../agent/config/flag-text.ts';
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import type { PolicyPodAnswer } from '../../agent/debug/policy.ts';
import { policyPodText } from '../../agent/debug/policy-text.ts';
import type { PolicyPodRequest } from '../../agent/debug/questions/policy.ts';
import { prettyJson } from '../../util/json.ts';
import type { Command } from '../command.ts';
import { declareOutput, wantsJson } from '../output-flag.ts';
import { ask, declareRunDir, plain, type QuestionEffects } from '../question.ts';
import { UsageError } from '../usage.ts';

const EPILOGUE = `Tells what policies say about one pod: which select it, and what they allow and deny, in the order in
which they decide. Connections to a Service are judged by the pod that answers. The namespace can be
left out where no two pods share the name.

Examples:
  weft policy pod shop/db
  weft policy pod shop/db --output json`;

export const policyPodCommand: Command = {
  name: 'policy pod',
  describe: 'Tell what policies allow and deny one pod',
  argument: 'NAME',
  declare: (declaration) =>
    declareRunDir(
      declareOutput(declaration.usage('weft policy pod NAMESPACE/NAME [flags]').epilogue(EPILOGUE)),
    ),
  run: runPolicyPod,
};

export async function runPolicyPod(flags: FlagValues, effects: QuestionEffects): Promise<number> {
  const isJson = wantsJson(flags);
  const pod = lastText(flags['NAME']);
  if (pod === undefined) throw new UsageError('which pod? weft policy pod NAMESPACE/NAME');
  const request: PolicyPodRequest = { command: 'policy pod', pod };
  // The agent answers a request of this command with this shape.
  const answer = (await ask(flags, request, effects)) as PolicyPodAnswer;
  effects.print(isJson ? prettyJson(answer) : plain(policyPodText(answer)));
  return 0;
}
