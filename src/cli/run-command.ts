import {
  CLEANED_COMPONENTS,
  type CleanedComponent,
  type CleanupOptions,
  type CleanupReport,
} from '../agent/cleanup/leftover.ts';
import {
  type AgentConfig,
  type AgentFlags,
  agentConfigFromKubeProxy,
  DEFAULT_CNI,
  resolveAgentConfig,
  type Surroundings,
} from '../agent/config/agent-config.ts';
import { agentFlagTexts } from '../agent/config/agent-settings.ts';
import { lastText } from '../agent/config/flag-text.ts';
import { renderKubeProxyConfig } from '../agent/config/kube-proxy-config.ts';
import {
  type FlagValues,
  type KubeProxyOptions,
  readKubeProxyOptions,
} from '../agent/config/kube-proxy-flags.ts';
import { DEFAULT_STATE_DIR, readOwnFlags } from '../agent/config/own-settings.ts';
import type { ConfigSource } from '../agent/config/reload.ts';
import { ConfigError, errorCode, IoError, toError } from '../util/errors.ts';
import type { Invocation } from './command-line.ts';
import { type PolicyCheckEffects, runPolicyCheck } from './policy-check.ts';
import {
  type PolicyQuestionEffects,
  runPolicyDenied,
  runPolicyList,
  runPolicyPod,
} from './policy-questions.ts';
import { type QuestionEffects, runDiff, runExplain } from './questions.ts';
import { runStatus, type StatusEffects, servedComponents } from './status.ts';
import { UsageError } from './usage.ts';

export interface DropInFlags {
  readonly cniBin: string;
  readonly cniConfDir: string;
  readonly isUndo: boolean;
  readonly isDryRun: boolean;
}

/** What a command may touch. */
export interface CommandEffects
  extends QuestionEffects,
    StatusEffects,
    PolicyCheckEffects,
    PolicyQuestionEffects {
  readonly surroundings: Surroundings;
  /** The line `weft version` prints. */
  readonly version: string;
  /** Runs until the agent has stopped; follows the file the configuration came from, if any. */
  readonly runAgent: (config: AgentConfig, source: ConfigSource | undefined) => Promise<void>;
  readonly cleanup: (options: CleanupOptions) => Promise<CleanupReport>;
  /** Takes or gives back the names of the reference plugins and tells about each. */
  readonly dropIn: (options: DropInFlags) => readonly string[];
  readonly readFile: (path: string) => string;
  /** The files that a configuration file or directory is. */
  readonly configPaths: (path: string) => readonly string[];
  readonly writeFile: (path: string, text: string) => void;
  readonly printError: (text: string) => void;
}

/**
 * Runs one command to its end and gives the exit code: 0 done, 1 failure, 2 wrong command line or
 * configuration. Of `diff`: 0 no difference, 1 some, 2 failure; of `status`: 1
 * not healthy. Errors become `weft: ` lines on
 * standard error.
 */
export async function runCommand(
  parse: () => Invocation,
  effects: CommandEffects,
): Promise<number> {
  let invocation: Invocation | undefined;
  try {
    invocation = parse();
    return await run(invocation, effects);
  } catch (thrown) {
    const lines = toError(thrown).message.split('\n');
    effects.printError(lines.map((line) => `weft: ${line}\n`).join(''));
    const isUsage = thrown instanceof UsageError || thrown instanceof ConfigError;
    // Their 1 is an answer, not a failure.
    const answersWithOne = ['diff', 'policy check'].includes(invocation?.command ?? '');
    return isUsage || answersWithOne ? 2 : 1;
  }
}

async function run(invocation: Invocation, effects: CommandEffects): Promise<number> {
  switch (invocation.command) {
    case 'help':
      effects.print(`${invocation.text}\n`);
      break;
    case 'version':
      effects.print(`${effects.version}\n`);
      break;
    case 'policy check':
      return runPolicyCheck(invocation.flags, effects);
    case 'policy list':
      await runPolicyList(invocation.flags, effects);
      break;
    case 'policy pod':
      await runPolicyPod(invocation.flags, effects);
      break;
    case 'policy denied':
      await runPolicyDenied(invocation.flags, effects);
      break;
    case 'cleanup':
      await runCleanup(invocation.flags, componentsOf(invocation.flags), effects);
      break;
    case 'install':
      runInstall(invocation.flags, effects);
      break;
    case 'status':
      return runStatus(invocation.flags, effects);
    case 'explain':
      await runExplain(invocation.flags, effects);
      break;
    case 'diff':
      return runDiff(invocation.flags, effects);
    case 'agent':
      await startAgent(invocation.flags, configOfAgent, effects);
      break;
    case 'proxy':
      await runProxy(invocation.flags, effects);
  }
  return 0;
}

async function runProxy(flags: FlagValues, effects: CommandEffects): Promise<void> {
  const options = kubeProxyOptions(flags, effects);
  if (options.isCleanup) {
    // As kube-proxy's flag: whoever says so has another proxy, or wants none.
    await runCleanup({ ...flags, force: true }, ['proxy'], effects);
  } else if (options.writeConfigTo === undefined) {
    await startAgent(flags, configOfProxy, effects);
  } else {
    // What is written has passed the same checks as what is run.
    configOfProxy(flags, effects);
    effects.writeFile(options.writeConfigTo, renderKubeProxyConfig(options.config));
  }
}

type ReadConfig = (flags: FlagValues, effects: CommandEffects) => AgentConfig;

async function startAgent(
  flags: FlagValues,
  readConfig: ReadConfig,
  effects: CommandEffects,
): Promise<void> {
  const path = lastText(flags['config']);
  const read = () => readConfig(flags, effects);
  await effects.runAgent(read(), path === undefined ? undefined : { path, read });
}

function configOfProxy(flags: FlagValues, effects: CommandEffects): AgentConfig {
  const options = kubeProxyOptions(flags, effects);
  const runDir = lastText(flags['run-dir']);
  return agentConfigFromKubeProxy(options, readOwnFlags(flags), effects.surroundings, runDir);
}

function kubeProxyOptions(flags: FlagValues, effects: CommandEffects): KubeProxyOptions {
  return readKubeProxyOptions(flags, (path) => readText('--config', path, effects));
}

function runInstall(flags: FlagValues, { dropIn, print }: CommandEffects): void {
  if (flags['drop-in'] !== true) {
    throw new UsageError('say what to install: --drop-in; see weft install --help');
  }
  const isDryRun = flags['dry-run'] === true;
  const lines = dropIn({
    cniBin: lastText(flags['cni-bin']) ?? '/opt/cni/bin',
    cniConfDir: lastText(flags['cni-conf-dir']) ?? '/etc/cni/net.d',
    isUndo: flags['undo'] === true,
    isDryRun,
  });
  if (isDryRun) print('nothing is changed; this is what would be:\n');
  for (const line of lines) print(`${line}\n`);
}

async function runCleanup(
  flags: FlagValues,
  components: readonly CleanedComponent[],
  effects: CommandEffects,
): Promise<void> {
  const { cleanup, print } = effects;
  const runDir = lastText(flags['run-dir']) ?? effects.runDir;
  const isDryRun = flags['dry-run'] === true;
  const {
    refusal,
    removed,
    kept,
    left = [],
  } = await cleanup({
    runDir,
    served: await servedComponents(runDir, effects),
    stateDir: lastText(flags['state-dir']) ?? DEFAULT_STATE_DIR,
    confDirectory: lastText(flags['cni-conf-dir']) ?? DEFAULT_CNI.confDirectory,
    components,
    isWhole: flags['all'] === true,
    isDryRun,
    isForced: flags['force'] === true,
  });
  if (refusal !== undefined) {
    print(`would be refused: ${refusal}\nonce that is done, this is what would be:\n`);
  }
  for (const what of removed) print(`${isDryRun ? 'would remove' : 'removed'} ${what}\n`);
  for (const what of kept) print(`${isDryRun ? 'would keep' : 'kept'} ${what}\n`);
  for (const what of left) print(`${isDryRun ? 'would leave' : 'left'} ${what}\n`);
  if (kept.length > 0) print('what is kept is in use; --force removes it all the same\n');
  if (removed.length + kept.length === 0) print('nothing of weft is left on this node\n');
}

function componentsOf(flags: FlagValues): readonly CleanedComponent[] {
  const component = lastText(flags['component']);
  if (component === undefined) return CLEANED_COMPONENTS;
  if (flags['all'] === true)
    throw new UsageError('--all is every component: leave out --component');
  const found = CLEANED_COMPONENTS.find((name) => name === component);
  if (found !== undefined) return [found];
  throw new UsageError(`--component: expected cni, proxy, fabric or policy, found "${component}"`);
}

function configOfAgent(values: FlagValues, effects: CommandEffects): AgentConfig {
  const proxyMode = lastText(values['proxy-mode']);
  const flags: AgentFlags = {
    ...agentFlagTexts(values),
    ...(proxyMode === undefined ? {} : { proxyMode }),
    isInitOnly: values['init-only'] === true,
    own: readOwnFlags(values),
  };
  const path = lastText(values['config']);
  const paths = path === undefined ? [] : effects.configPaths(path);
  const files = paths.map((file) => ({ path: file, text: readText('--config', file, effects) }));
  return resolveAgentConfig(flags, files, effects.surroundings);
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
