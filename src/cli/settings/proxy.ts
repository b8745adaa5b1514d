/** Flags, configuration and work of `weft proxy`. */
import { type AgentConfig, agentConfigFromKubeProxy } from '../../agent/config/agent-config.ts';
import { AGENT_SETTINGS } from '../../agent/config/agent-settings.ts';
import { lastText } from '../../agent/config/flag-text.ts';
import { renderKubeProxyConfig } from '../../agent/config/kube-proxy-config.ts';
import { FLAGS, IGNORED_FLAGS } from '../../agent/config/kube-proxy-flag-table.ts';
import {
  type FlagValues,
  type KubeProxyOptions,
  readKubeProxyOptions,
} from '../../agent/config/kube-proxy-flags.ts';
import { OWN_SETTINGS, readOwnFlags } from '../../agent/config/own-settings.ts';
import { runCleanup } from '../commands/cleanup.ts';
import type { Declaration } from '../declaration.ts';
import type { CommandEffects } from '../effects.ts';
import { readText, startAgent } from '../start-agent.ts';
import { declareSettings } from './flags.ts';

export function declareProxyFlags(declaration: Declaration): Declaration {
  for (const { name, kind, describe, deprecated } of FLAGS) {
    const type = kind === 'boolean' ? 'boolean' : 'string';
    const instead = deprecated === undefined ? {} : { deprecated };
    declaration.option(name, { type, describe, ...instead });
  }
  for (const name of IGNORED_FLAGS) declaration.option(name, { type: 'string', hidden: true });
  declareSettings(declaration, { runDir: AGENT_SETTINGS.runDir, ...OWN_SETTINGS });
  return declaration.option('version', { type: 'boolean', describe: 'Print the version and exit' });
}

/** Runs the proxy until it has stopped, or does what other flags than those of settings ask for. */
export async function runProxy(flags: FlagValues, effects: CommandEffects): Promise<void> {
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

function configOfProxy(flags: FlagValues, effects: CommandEffects): AgentConfig {
  const options = kubeProxyOptions(flags, effects);
  const runDir = lastText(flags['run-dir']);
  return agentConfigFromKubeProxy(options, readOwnFlags(flags), effects.surroundings, runDir);
}

function kubeProxyOptions(flags: FlagValues, effects: CommandEffects): KubeProxyOptions {
  return readKubeProxyOptions(flags, (path) => readText('--config', path, effects));
}
