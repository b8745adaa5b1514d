import {
  type AgentConfig,
  type AgentFlags,
  agentConfigFromKubeProxy,
  resolveAgentConfig,
  type Surroundings,
} from '../agent/config/agent-config.ts';
import { renderKubeProxyConfig } from '../agent/config/kube-proxy-config.ts';
import { type FlagValues, readKubeProxyOptions } from '../agent/config/kube-proxy-flags.ts';
import { ConfigError, errorCode, IoError, toError } from '../util/errors.ts';
import type { Invocation } from './command-line.ts';
import { UsageError } from './usage.ts';

export interface DropInFlags {
  readonly cniBin: string;
  readonly isUndo: boolean;
  readonly isDryRun: boolean;
}

/** What a command may touch. */
export interface CommandEffects {
  readonly surroundings: Surroundings;
  /** The line `weft version` prints. */
  readonly version: string;
  /** Runs until the agent has stopped. */
  readonly runAgent: (config: AgentConfig) => Promise<void>;
  /** Removes weft's leftovers and names each. */
  readonly cleanup: () => readonly string[] | Promise<readonly string[]>;
  /** Takes or gives back the names of the reference plugins and tells about each. */
  readonly dropIn: (options: DropInFlags) => readonly string[];
  readonly readFile: (path: string) => string;
  readonly writeFile: (path: string, text: string) => void;
  readonly print: (text: string) => void;
  readonly printError: (text: string) => void;
}

/**
 * Runs one command to its end and gives the exit code: 0 done, 1 failure, 2 wrong command line or
 * configuration. Errors become `weft: ` lines on standard error.
 */
export async function runCommand(
  parse: () => Invocation,
  effects: CommandEffects,
): Promise<number> {
  try {
    await run(parse(), effects);
    return 0;
  } catch (thrown) {
    const lines = toError(thrown).message.split('\n');
    effects.printError(lines.map((line) => `weft: ${line}\n`).join(''));
    return thrown instanceof UsageError || thrown instanceof ConfigError ? 2 : 1;
  }
}

async function run(invocation: Invocation, effects: CommandEffects): Promise<void> {
  switch (invocation.command) {
    case 'help':
      effects.print(`${invocation.text}\n`);
      return;
    case 'version':
      effects.print(`${effects.version}\n`);
      return;
    case 'cleanup':
      await runCleanup(effects);
      return;
    case 'install':
      runInstall(invocation.flags, effects);
      return;
    case 'agent':
      await effects.runAgent(configOfAgent(invocation.flags, effects));
      return;
    case 'proxy':
      await runProxy(invocation.flags, effects);
  }
}

async function runProxy(flags: FlagValues, effects: CommandEffects): Promise<void> {
  const options = readKubeProxyOptions(flags, (path) => readText('--config', path, effects));
  if (options.isCleanup) {
    await runCleanup(effects);
    return;
  }
  const config = agentConfigFromKubeProxy(options, effects.surroundings);
  if (options.writeConfigTo === undefined) {
    await effects.runAgent(config);
    return;
  }
  effects.writeFile(options.writeConfigTo, renderKubeProxyConfig(options.config));
}

function runInstall(flags: FlagValues, { dropIn, print }: CommandEffects): void {
  if (flags['drop-in'] !== true) {
    throw new UsageError('say what to install: --drop-in; see weft install --help');
  }
  const isDryRun = flags['dry-run'] === true;
  const lines = dropIn({
    cniBin: lastText(flags['cni-bin']) ?? '/opt/cni/bin',
    isUndo: flags['undo'] === true,
    isDryRun,
  });
  if (isDryRun) print('nothing is changed; this is what would be:\n');
  for (const line of lines) print(`${line}\n`);
}

async function runCleanup({ cleanup, print }: CommandEffects): Promise<void> {
  const removed = await cleanup();
  for (const what of removed) print(`removed ${what}\n`);
  if (removed.length === 0) print('nothing of weft is left on this node\n');
}

function configOfAgent(values: FlagValues, effects: CommandEffects): AgentConfig {
  const text = (name: string) => lastText(values[name]);
  const given = {
    components: text('components'),
    nodeName: text('node-name'),
    kubeconfig: text('kubeconfig'),
    manifests: text('manifests'),
    runDir: text('run-dir'),
    logLevel: text('log-level'),
  };
  const flags: AgentFlags = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  );
  const path = text('config');
  const file = path === undefined ? undefined : { path, text: readText('--config', path, effects) };
  return resolveAgentConfig(flags, file, effects.surroundings);
}

function readText(flag: string, path: string, { readFile }: CommandEffects): string {
  try {
    return readFile(path);
  } catch (cause) {
    throw new IoError(`${flag}: read ${path}: ${errorCode(cause) ?? toError(cause).message}`, {
      cause,
    });
  }
}

/** The last occurrence of a repeated flag counts. */
function lastText(given: unknown): string | undefined {
  if (given === undefined) return undefined;
  return String(Array.isArray(given) ? given.at(-1) : given);
}
