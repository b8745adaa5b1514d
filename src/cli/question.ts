/** What commands that ask the running agent have in common. */
import type { Argv } from 'yargs';
import { lastText } from '../agent/config/flag-text.ts';
import type { FlagValues } from '../agent/config/kube-proxy-flags.ts';
import type { DebugRequest } from '../agent/debug/protocol.ts';
import type { CommandEffects } from './effects.ts';

export type QuestionEffects = Pick<CommandEffects, 'runDir' | 'askAgent' | 'print'>;

/** A flag with text, for `parser`. */
export function textFlags(parser: Argv): (name: string, describe: string) => Argv {
  return (name, describe) => parser.option(name, { type: 'string', requiresArg: true, describe });
}

export function declareRunDir(parser: Argv): Argv {
  return textFlags(parser)(
    'run-dir',
    'Where the agent is [default: $WEFT_RUN_DIR, else /run/weft]',
  );
}

/** Where the agent is that the flags mean. */
export function runDirOf(flags: FlagValues, effects: Pick<CommandEffects, 'runDir'>): string {
  return lastText(flags['run-dir']) ?? effects.runDir;
}

export function ask(
  flags: FlagValues,
  request: DebugRequest,
  effects: QuestionEffects,
): Promise<unknown> {
  return effects.askAgent(runDirOf(flags, effects), request);
}

export function prettyJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** Names come from objects that anybody may have written: no escape sequences into a terminal. */
export function plain(text: string): string {
  return text.replace(/[^\P{Cc}\n]/gu, '?');
}
