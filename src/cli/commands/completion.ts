/** `weft completion`: what shells complete the command line with. */
import { lastText } from '../../agent/config/flag-text.ts';
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import { NAMES_KINDS } from '../../agent/debug/lists/names.ts';
import type { NamesRequest } from '../../agent/debug/questions/names.ts';
import type { Command } from '../command.ts';
import { bashScript } from '../completion/bash.ts';
import { fishScript } from '../completion/fish.ts';
import { type CompletedCommand, completedCommand } from '../completion/model.ts';
import { zshScript } from '../completion/zsh.ts';
import { ask, declareRunDir, plain, type QuestionEffects, textFlags } from '../question.ts';
import { UsageError } from '../usage.ts';

const EPILOGUE = `Prints a script with which bash, zsh or fish completes commands, flags and their values, and names
of pods, Services and namespaces, for which it asks the agent while you type.

To have it in this shell, and in each one to come:
  source <(weft completion bash)
  weft completion bash > /etc/bash_completion.d/weft
  weft completion zsh > "\${fpath[1]}/_weft"
  weft completion fish > ~/.config/fish/completions/weft.fish`;

const SHELLS: ReadonlyMap<string, (commands: readonly CompletedCommand[]) => string> = new Map([
  ['bash', bashScript],
  ['zsh', zshScript],
  ['fish', fishScript],
]);

/** The command for these commands, itself among them. */
export function completionCommand(commands: () => readonly Command[]): Command {
  return {
    name: 'completion',
    describe: 'Print what bash, zsh or fish completes the command line with',
    argument: 'SHELL',
    argumentWords: [...SHELLS.keys()],
    declare: (declaration) => {
      const text = textFlags(declaration);
      declaration.usage('weft completion bash|zsh|fish [flags]').epilogue(EPILOGUE);
      text('names', `Names instead: ${NAMES_KINDS.join(', ')}`);
      text('prefix', 'Only those that begin so');
      return declareRunDir(declaration);
    },
    run: (flags, effects) => runCompletion(flags, commands(), effects),
  };
}

async function runCompletion(
  flags: FlagValues,
  commands: readonly Command[],
  effects: QuestionEffects,
): Promise<number> {
  const kind = lastText(flags['names']);
  if (kind !== undefined) return printNames(kind, flags, effects);
  const shell = lastText(flags['SHELL']);
  const script = SHELLS.get(shell ?? '');
  if (script === undefined) {
    const found = shell === undefined ? '' : `, found "${shell}"`;
    throw new UsageError(`which shell? expected bash, zsh or fish${found}`);
  }
  effects.print(script(await Promise.all(commands.map(completedCommand))));
  return 0;
}

async function printNames(
  kind: string,
  flags: FlagValues,
  effects: QuestionEffects,
): Promise<number> {
  const of = NAMES_KINDS.find((name) => name === kind);
  if (of === undefined) {
    throw new UsageError(`--names: expected one of ${NAMES_KINDS.join(', ')}, found "${kind}"`);
  }
  const prefix = lastText(flags['prefix']);
  const request: NamesRequest = { command: 'names', of, ...(prefix ? { prefix } : {}) };
  // The agent answers a request of this command with this shape.
  const names = (await ask(flags, request, effects)) as readonly string[];
  effects.print(plain(names.map((name) => `${name}\n`).join('')));
  return 0;
}
