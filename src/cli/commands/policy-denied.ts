/** `weft policy denied`: connections that policies denied on this node. */
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import { denialText } from '../../agent/debug/policy-text.ts';
import type { PolicyDeniedRequest } from '../../agent/debug/questions/policy.ts';
import type { ToldDenial } from '../../agent/policy/denials.ts';
import type { Command } from '../command.ts';
import type { CommandEffects } from '../effects.ts';
import { declareOutput, wantsJson } from '../output-flag.ts';
import { ask, declareRunDir, plain, type QuestionEffects } from '../question.ts';

type PolicyQuestionEffects = QuestionEffects & Pick<CommandEffects, 'wait'>;

const EPILOGUE = `Prints connections that policies denied on this node: who, to whom, and which policy. It is a sample,
one line for each pair of pods and port a minute, and few at once; weft policy list has the counts.
The last 500 are kept. With --output json each is one line.

Examples:
  weft policy denied --follow
  weft policy denied --output json`;

const FOLLOW_EVERY_MS = 1_000;

export const policyDeniedCommand: Command = {
  name: 'policy denied',
  describe: 'Tell which connections policies have denied on this node',
  declare: (declaration) => {
    declaration.usage('weft policy denied [flags]').epilogue(EPILOGUE);
    declaration.option('follow', {
      type: 'boolean',
      describe: 'Go on with what is denied from now on',
    });
    return declareRunDir(declareOutput(declaration));
  },
  run: runPolicyDenied,
};

/** With `--follow` until somebody ends it, or the agent does. */
export async function runPolicyDenied(
  flags: FlagValues,
  effects: PolicyQuestionEffects,
): Promise<number> {
  const isJson = wantsJson(flags);
  const isFollowed = flags['follow'] === true;
  for (let after = 0; ; ) {
    const request: PolicyDeniedRequest = { command: 'policy denied', after };
    // The agent answers a request of this command with this shape.
    const denials = (await ask(flags, request, effects)) as readonly ToldDenial[];
    if (denials.length === 0 && !isFollowed && !isJson) effects.print('nothing was denied\n');
    for (const denial of denials) {
      effects.print(isJson ? `${JSON.stringify(denial)}\n` : plain(denialText(denial)));
    }
    if (!isFollowed) return 0;
    after = denials.at(-1)?.number ?? after;
    await effects.wait(FOLLOW_EVERY_MS);
  }
}
