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

/** Undefined where the flag is not given. Throws UsageError for an empty one. */
export function directoryOf(flags: FlagValues, name: string): string | undefined {
  const given = lastText(flags[name]);
  // A variable that is not set: it would be where the shell is, or as if nothing were there.
  if (given === '') throw new UsageError(`--${name}: expected a directory, found ""`);
  return given;
}

/** Where the agent is that the flags mean. */
export function runDirOf(flags: FlagValues, effects: Pick<CommandEffects, 'runDir'>): string {
  return directoryOf(flags, 'run-dir') ?? effects.runDir;
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
