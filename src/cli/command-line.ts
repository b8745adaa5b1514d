/** The `weft` command line as a pure function: arguments in, what to do out. */
import Parser, { type Options } from 'yargs-parser';
import type { FlagValues } from '../agent/config/kube-proxy-flags.ts';
import { suggestion } from '../agent/config/nearest.ts';
import type { Command } from './command.ts';
import { versionCommand } from './commands/version.ts';
import { COMMAND_NAMES, COMMANDS } from './commands.ts';
import { type DescribedCommand, described } from './described.ts';
import { commandHelp, groupHelp } from './help.ts';
import { ROOT_EPILOGUE } from './help-text.ts';
import { UsageError } from './usage.ts';

/** Flags by their dashed name, as given; absent ones are absent. */
export type Invocation =
  | { readonly command: Command; readonly flags: FlagValues }
  | { readonly help: string };

/**
 * Reads the arguments after the program's name. As in Kubernetes components, `_` in a flag's name
 * means `-`. Throws UsageError for an unknown command or flag, a missing value or a stray word.
 */
export async function parseCommandLine(args: readonly string[]): Promise<Invocation> {
  const [word] = args;
  if (word === '--version') return { command: versionCommand, flags: {} };
  if (word === undefined || word === '--help' || word === '-h') {
    return { help: groupHelp('weft <command>', COMMANDS, ROOT_EPILOGUE) };
  }
  if (word === 'help') return parseCommandLine([...args.slice(1), '--help']);
  const command = COMMANDS.find(({ name }) => wordsOf(name).every((part, at) => part === args[at]));
  if (command === undefined) {
    const group = COMMANDS.filter(({ name }) => name.startsWith(`${word} `));
    const [next = '--help'] = args.slice(1);
    if (group.length > 0 && ['--help', '-h'].includes(next)) {
      return { help: groupHelp(`weft ${word} <command>`, group) };
    }
    const what = word.startsWith('-') ? 'flag before a command' : 'command';
    if (group.length > 0) {
      const names = group.map(({ name }) => name);
      const hint = suggestion(`${word} ${next}`, names) || `: use ${names.join(', ')}`;
      throw new UsageError(`unknown command ${word} ${next}${hint}; see weft ${word} --help`);
    }
    const hint = suggestion(word, COMMAND_NAMES) || `: use ${COMMAND_NAMES.join(', ')}`;
    throw new UsageError(`unknown ${what} ${word}${hint}; see weft --help`);
  }
  return parseCommand(command, args.slice(wordsOf(command.name).length).map(dashed));
}

/** `policy check` is two words. */
function wordsOf(name: string): readonly string[] {
  return name.split(' ');
}

async function parseCommand(command: Command, args: readonly string[]): Promise<Invocation> {
  const declared = await described(command);
  if (args.includes('--help') || args.includes('-h')) return { help: commandHelp(declared) };
  if (command.name === 'proxy' && args.some(isVersionFlag)) {
    return { command: versionCommand, flags: {} };
  }
  return { command, flags: parseFlags(command, declared, args) };
}

function parseFlags(
  { name: command, argument }: Command,
  declared: DescribedCommand,
  args: readonly string[],
): FlagValues {
  const see = `see weft ${command} --help`;
  const switches = declared.flags.filter(({ isSwitch }) => isSwitch).map(({ name }) => name);
  const exact = args.map((argument) => exactBoolean(argument, switches));
  const { argv, error } = Parser.detailed(exact, grammarOf(declared));
  if (error !== null) throw new UsageError(`${reworded(error.message)}; ${see}`);
  const { _: words, ...flags } = argv;
  const [stray] = argument === undefined ? words : words.slice(1);
  if (stray !== undefined) throw new UsageError(`unexpected argument "${stray}"; ${see}`);
  const known = new Set([...declared.flags.map(({ name }) => name), ...declared.hiddenFlags]);
  for (const name of Object.keys(flags)) {
    if (known.has(name)) continue;
    const hint = suggestion(name, known, '--');
    throw new UsageError(`unknown flag ${name.length === 1 ? '-' : '--'}${name}${hint}; ${see}`);
  }
  return argument === undefined || words[0] === undefined
    ? flags
    : { ...flags, [argument]: words[0] };
}

/** Every key exactly as written: no camelCase twins, no nesting, no `--no-` forms, no numbers. */
function grammarOf({ flags, hiddenFlags }: DescribedCommand): Options {
  const valued = flags.filter(({ isSwitch }) => !isSwitch).map(({ name }) => name);
  return {
    boolean: flags.filter(({ isSwitch }) => isSwitch).map(({ name }) => name),
    string: [...valued, ...hiddenFlags],
    // A value is needed, and one that looks like a flag is none: what yargs calls requiresArg.
    narg: Object.fromEntries(valued.map((name) => [name, Number.NaN])),
    configuration: {
      'camel-case-expansion': false,
      'dot-notation': false,
      'boolean-negation': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
    },
  };
}

/** The parser takes any other text for false: `--profiling=yes` must not turn profiling off. */
function exactBoolean(argument: string, booleans: readonly string[]): string {
  const [, name, text = ''] = /^--([^=]+)=(.*)$/s.exec(argument) ?? [];
  if (name === undefined || !booleans.includes(name)) return argument;
  if (/^(?:1|t|true)$/i.test(text)) return `--${name}=true`;
  if (/^(?:0|f|false)$/i.test(text)) return `--${name}=false`;
  throw new UsageError(`--${name}: expected true or false, found "${text}"`);
}

function reworded(message: string): string {
  const [, name] = /^Not enough arguments following: (.*)$/.exec(message) ?? [];
  return name === undefined ? message : `${name.length === 1 ? '-' : '--'}${name} needs a value`;
}

/** `--bind_address=x` to `--bind-address=x`; values stay as they are. */
function dashed(argument: string): string {
  if (!argument.startsWith('--')) return argument;
  const [name = '', ...value] = argument.split('=');
  return [name.replaceAll('_', '-'), ...value].join('=');
}

function isVersionFlag(argument: string): boolean {
  return argument === '--version' || argument === '--version=true' || argument === '--version=raw';
}
