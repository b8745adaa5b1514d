/** `weft policy list`, `pod` and `denied`: what the agent of this node enforces. */
import { lastText } from '../agent/config/flag-text.ts';
import type { FlagValues } from '../agent/config/kube-proxy-flags.ts';
import type { PolicyListAnswer, PolicyPodAnswer } from '../agent/debug/policy.ts';
import { denialText, policyListText, policyPodText } from '../agent/debug/policy-text.ts';
import type { PolicyRequest } from '../agent/debug/protocol.ts';
import type { ToldDenial } from '../agent/policy/denials.ts';
import { wantsJson } from './output-flag.ts';
import { plain, prettyJson, type QuestionEffects } from './questions.ts';
import { UsageError } from './usage.ts';

export interface PolicyQuestionEffects extends QuestionEffects {
  readonly wait: (ms: number) => Promise<void>;
}

const FOLLOW_EVERY_MS = 1_000;

export async function runPolicyList(flags: FlagValues, effects: QuestionEffects): Promise<void> {
  const isJson = wantsJson(flags);
  // The agent answers a request of this command with this shape.
  const answer = (await ask(flags, { command: 'policy list' }, effects)) as PolicyListAnswer;
  const isAll = flags['all'] === true;
  effects.print(isJson ? prettyJson(answer) : plain(policyListText(answer, { isAll })));
}

export async function runPolicyPod(flags: FlagValues, effects: QuestionEffects): Promise<void> {
  const isJson = wantsJson(flags);
  const pod = lastText(flags['NAME']);
  if (pod === undefined) throw new UsageError('which pod? weft policy pod NAMESPACE/NAME');
  // As above.
  const answer = (await ask(flags, { command: 'policy pod', pod }, effects)) as PolicyPodAnswer;
  effects.print(isJson ? prettyJson(answer) : plain(policyPodText(answer)));
}

/** With `--follow` until somebody ends it, or the agent does. */
export async function runPolicyDenied(
  flags: FlagValues,
  effects: PolicyQuestionEffects,
): Promise<void> {
  const isJson = wantsJson(flags);
  const isFollowed = flags['follow'] === true;
  for (let after = 0; ; ) {
    const request = { command: 'policy denied', after } as const;
    // As above.
    const denials = (await ask(flags, request, effects)) as readonly ToldDenial[];
    if (denials.length === 0 && !isFollowed && !isJson) effects.print('nothing was denied\n');
    for (const denial of denials) {
      effects.print(isJson ? `${JSON.stringify(denial)}\n` : plain(denialText(denial)));
    }
    if (!isFollowed) return;
    after = denials.at(-1)?.number ?? after;
    await effects.wait(FOLLOW_EVERY_MS);
  }
}

function ask(
  flags: FlagValues,
  request: PolicyRequest,
  effects: QuestionEffects,
): Promise<unknown> {
  return effects.askAgent(lastText(flags['run-dir']) ?? effects.runDir, request);
}
