/** The `weft` command line as a pure function: arguments in, what to do out. */
import yargs, { type Argv } from 'yargs';
import type { FlagValues } from '../agent/config/kube-proxy-flags.ts';
import { suggestion } from '../agent/config/nearest.ts';
import type { Command } from './command.ts';
import { versionCommand } from './commands/version.ts';
import { COMMAND_NAMES, COMMANDS } from './commands.ts';
import { described } from './described.ts';
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
export function parseCommandLine(args: readonly string[]): Invocation {
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
    const hint = suggestion(word, COMMAND_NAMES) || `: use ${COMMAND_NAMES.join(', ')}`;
    throw new UsageError(`unknown ${what} ${word}${hint}; see weft --help`);
  }
  return parseCommand(command, args.slice(wordsOf(command.name).length).map(dashed));
}

/** `policy check` is two words. */
function wordsOf(name: string): readonly string[] {
  return name.split(' ');
}

function parseCommand(command: Command, args: readonly string[]): Invocation {
  if (args.includes('--help') || args.includes('-h')) {
    return { help: commandHelp(described(command)) };
  }
  if (command.name === 'proxy' && args.some(isVersionFlag)) {
    return { command: versionCommand, flags: {} };
  }
  return { command, flags: parseFlags(command, command.declare(plainParser()), args) };
}

function parseFlags(
  { name: command, argument }: Command,
  parser: Argv,
  args: readonly string[],
): FlagValues {
  const see = `see weft ${command} --help`;
  parser.fail((message) => {
    throw new UsageError(`${reworded(message)}; ${see}`);
  });
  const exact = args.map((argument) => exactBoolean(argument, declared(parser).boolean));
  const { _: words, $0: _program, ...flags } = parser.parseSync(exact);
  const [stray] = argument === undefined ? words : words.slice(1);
  if (stray !== undefined) throw new UsageError(`unexpected argument "${stray}"; ${see}`);
  const known = new Set(Object.keys(declared(parser).key));
  for (const name of Object.keys(flags)) {
    if (known.has(name)) continue;
    const hint = suggestion(name, known, '--');
    throw new UsageError(`unknown flag ${name.length === 1 ? '-' : '--'}${name}${hint}; ${see}`);
  }
  return argument === undefined || words[0] === undefined
    ? flags
    : { ...flags, [argument]: words[0] };
}

interface DeclaredFlags {
  readonly key: Readonly<Record<string, unknown>>;
  readonly boolean: readonly string[];
}

function declared(parser: Argv): DeclaredFlags {
  // yargs documents getOptions for completion functions but leaves it out of its types.
  return (parser as Argv & { getOptions(): DeclaredFlags }).getOptions();
}

/** yargs takes any other text for false: `--profiling=yes` must not turn profiling off. */
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

/** Every key exactly as written: no camelCase twins, no nesting, no `--no-` forms, no numbers. */
function plainParser(): Argv {
  return yargs([])
    .scriptName('weft')
    .parserConfiguration({
      'camel-case-expansion': false,
      'dot-notation': false,
      'boolean-negation': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
    })
    .version(false)
    .help(false)
    .exitProcess(false)
    .locale('en');
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
