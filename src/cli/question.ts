/** What commands that ask the running agent have in common. */

import { lastText } from '../agent/config/flag-text.ts';
import type { FlagValues } from '../agent/config/kube-proxy-flags.ts';
import type { DebugRequest } from '../agent/debug/protocol.ts';
import type { Declaration } from './declaration.ts';
import type { CommandEffects } from './effects.ts';
import { UsageError } from './usage.ts';

export type QuestionEffects = Pick<CommandEffects, 'runDir' | 'askAgent' | 'print'>;

/** A flag with text, for `declaration`. */
export function textFlags(
  declaration: Declaration,
): (name: string, describe: string) => Declaration {
  return (name, describe) => declaration.option(name, { type: 'string', describe });
}

export function declareRunDir(declaration: Declaration): Declaration {
  return textFlags(declaration)(
    'run-dir',
    'Where the agent is [default: $WEFT_RUN_DIR, else /run/weft]',
  );
}

/** Where the agent is that the flags mean. */
export function runDirOf(flags: FlagValues, effects: Pick<CommandEffects, 'runDir'>): string {
  const given = lastText(flags['run-dir']);
  // It would be where the shell is.
  if (given === '') throw new UsageError('--run-dir: expected a directory, found ""');
  return given ?? effects.runDir;
}

export function ask(
  flags: FlagValues,
  request: DebugRequest,
  effects: QuestionEffects,
): Promise<unknown> {
  return effects.askAgent(runDirOf(flags, effects), request);
}

/** Names come from objects that anybody may have written: no escape sequences into a terminal. */
export function plain(text: string): string {
  return text.replace(/[^\P{Cc}\n]/gu, '?');
}
