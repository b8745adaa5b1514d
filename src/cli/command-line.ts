/** The `weft` command line as a pure function: arguments in, what to do out. */
import yargs, { type Argv } from 'yargs';
import { AGENT_SETTINGS } from '../agent/config/agent-settings.ts';
import { declareKubeProxyFlags, type FlagValues } from '../agent/config/kube-proxy-flags.ts';
import { KUBE_PROXY_SETTINGS } from '../agent/config/kube-proxy-settings.ts';
import { suggestion } from '../agent/config/nearest.ts';
import { OWN_SETTINGS } from '../agent/config/own-settings.ts';
import { HELP_WIDTH, paragraphs, withoutTextMarks } from './help-layout.ts';
import {
  AGENT_EPILOGUE,
  CLEANUP_EPILOGUE,
  INSTALL_EPILOGUE,
  PROXY_EPILOGUE,
  ROOT_EPILOGUE,
} from './help-text.ts';
import { declarePolicyCheckFlags } from './policy-check-flags.ts';
import { declareDiffFlags, declareExplainFlags, declareStatusFlags } from './question-flags.ts';
import { declareSettings } from './setting-flags.ts';
import { UsageError } from './usage.ts';

type CommandWithFlags =
  | 'agent'
  | 'proxy'
  | 'status'
  | 'explain'
  | 'diff'
  | 'policy check'
  | 'cleanup'
  | 'install';

/** Flags by their dashed name, as given; absent ones are absent. */
export type Invocation =
  | { readonly command: CommandWithFlags; readonly flags: FlagValues }
  | { readonly command: 'version' }
  | { readonly command: 'help'; readonly text: string };

interface Command {
  readonly name: CommandWithFlags | 'version';
  readonly describe: string;
  readonly declare: (parser: Argv) => Argv;
}

const COMMANDS: readonly Command[] = [
  { name: 'agent', describe: 'Run the node agent', declare: declareAgentFlags },
  {
    name: 'proxy',
    describe: "Run only the Service proxy, with kube-proxy's flags and file",
    declare: declareProxyFlags,
  },
  {
    name: 'status',
    describe: 'Tell how the agent of this node is',
    declare: declareStatusFlags,
  },
  {
    name: 'explain',
    describe: 'Tell what becomes of a connection to a Service, and why',
    declare: declareExplainFlags,
  },
  {
    name: 'diff',
    describe: 'Tell what the agent would change in the kernel now',
    declare: declareDiffFlags,
  },
  {
    name: 'policy check',
    describe: 'Tell what policies in files would allow, before they are applied',
    declare: declarePolicyCheckFlags,
  },
  {
    name: 'cleanup',
    describe: 'Remove what weft left in the kernel and on disk',
    declare: declareCleanupFlags,
  },
  {
    name: 'install',
    describe: 'Answer under the names of the reference CNI plugins',
    declare: declareInstallFlags,
  },
  { name: 'version', describe: 'Print the version', declare: declareVersion },
];

/** All commands, without `weft` before them. */
export const COMMAND_NAMES = COMMANDS.map((command) => command.name);

/**
 * Reads the arguments after the program's name. As in Kubernetes components, `_` in a flag's name
 * means `-`. Throws UsageError for an unknown command or flag, a missing value or a stray word.
 */
export function parseCommandLine(args: readonly string[]): Invocation {
  const [word] = args;
  if (word === '--version') return { command: 'version' };
  if (word === undefined || word === '--help' || word === '-h') {
    return { command: 'help', text: helpOf(rootParser()) };
  }
  if (word === 'help') return parseCommandLine([...args.slice(1), '--help']);
  const command = COMMANDS.find(({ name }) => wordsOf(name).every((part, at) => part === args[at]));
  if (command === undefined) {
    const group = COMMANDS.filter(({ name }) => name.startsWith(`${word} `));
    const [next = '--help'] = args.slice(1);
    if (group.length > 0 && ['--help', '-h'].includes(next)) {
      return { command: 'help', text: helpOf(commandsParser(`weft ${word} <command>`, group)) };
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
  const parser = command.declare(plainParser());
  if (args.includes('--help') || args.includes('-h')) {
    return { command: 'help', text: helpOf(parser) };
  }
  if (command.name === 'proxy' && args.some(isVersionFlag)) return { command: 'version' };
  const flags = parseFlags(command.name, parser, args);
  return command.name === 'version' ? { command: 'version' } : { command: command.name, flags };
}

function parseFlags(command: string, parser: Argv, args: readonly string[]): FlagValues {
  const see = `see weft ${command} --help`;
  parser.fail((message) => {
    throw new UsageError(`${reworded(message)}; ${see}`);
  });
  const exact = args.map((argument) => exactBoolean(argument, declared(parser).boolean));
  const { _: words, $0: _program, ...flags } = parser.parseSync(exact);
  const [stray] = words;
  if (stray !== undefined) throw new UsageError(`unexpected argument "${stray}"; ${see}`);
  const known = new Set(Object.keys(declared(parser).key));
  for (const name of Object.keys(flags)) {
    if (known.has(name)) continue;
    const hint = suggestion(name, known, '--');
    throw new UsageError(`unknown flag ${name.length === 1 ? '-' : '--'}${name}${hint}; ${see}`);
  }
  return flags;
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
    .locale('en')
    .wrap(HELP_WIDTH);
}

function rootParser(): Argv {
  return commandsParser('weft <command>', COMMANDS).epilogue(ROOT_EPILOGUE);
}

function commandsParser(usage: string, commands: readonly Command[]): Argv {
  const parser = plainParser().usage(`${usage} [flags]`);
  for (const { name, describe } of commands) parser.command(name, describe);
  return parser;
}

function declareVersion(parser: Argv): Argv {
  return parser
    .usage('weft version')
    .epilogue('Prints the version of weft and of the Node that runs it. There are no flags.');
}

function declareAgentFlags(parser: Argv): Argv {
  parser.usage('weft agent [flags]').epilogue(AGENT_EPILOGUE).option('config', {
    type: 'string',
    requiresArg: true,
    describe: 'YAML file with these settings and those of the components, or a directory of such',
  });
  parser.option('init-only', {
    type: 'boolean',
    describe: 'Do what needs full privileges (sysctls), then exit',
  });
  return declareSettings(parser, { ...AGENT_SETTINGS, mode: KUBE_PROXY_SETTINGS.mode });
}

function declareProxyFlags(parser: Argv): Argv {
  declareKubeProxyFlags(parser.usage('weft proxy [flags]').epilogue(PROXY_EPILOGUE));
  declareSettings(parser, { runDir: AGENT_SETTINGS.runDir, ...OWN_SETTINGS });
  return parser.option('version', { type: 'boolean', describe: 'Print the version and exit' });
}

function declareCleanupFlags(parser: Argv): Argv {
  const text = (name: string, describe: string) =>
    parser.option(name, { type: 'string', requiresArg: true, describe });
  parser.usage('weft cleanup [flags]').epilogue(CLEANUP_EPILOGUE);
  text('component', 'What to take out: cni, proxy or fabric [default: all three]');
  text('run-dir', 'Where records are [default: $WEFT_RUN_DIR, else /run/weft]');
  text('state-dir', 'Where the last known objects are [default: /var/lib/weft]');
  text('cni-conf-dir', 'Where our network configuration is [default: /etc/cni/net.d]');
  parser.option('all', {
    type: 'boolean',
    describe: 'Also the bridge and directories, once nothing is in them',
  });
  parser.option('dry-run', { type: 'boolean', describe: 'Only print what would become of what' });
  return parser.option('force', {
    type: 'boolean',
    describe: 'Also what living pods need, and Services that nobody else serves',
  });
}

function declareInstallFlags(parser: Argv): Argv {
  return parser
    .usage('weft install --drop-in [flags]')
    .epilogue(INSTALL_EPILOGUE)
    .option('drop-in', { type: 'boolean', describe: 'Take the names of the reference plugins' })
    .option('undo', { type: 'boolean', describe: 'Put the reference plugins back' })
    .option('dry-run', { type: 'boolean', describe: 'Only print what would become of each name' })
    .option('cni-bin', {
      type: 'string',
      requiresArg: true,
      describe: 'Where the runtime looks for plugins [default: /opt/cni/bin]',
    })
    .option('cni-conf-dir', {
      type: 'string',
      requiresArg: true,
      describe: 'The network configurations that must go on working [default: /etc/cni/net.d]',
    });
}

function helpOf(parser: Argv): string {
  let text = '';
  parser.help(false).showHelp((help) => {
    text = paragraphs(withoutTextMarks(help));
  });
  return text;
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
