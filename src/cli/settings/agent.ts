/** Flags and configuration of `weft agent`. */
import {
  type AgentConfig,
  type AgentFlags,
  resolveAgentConfig,
} from '../../agent/config/agent-config.ts';
import { AGENT_SETTINGS, agentFlagTexts } from '../../agent/config/agent-settings.ts';
import { ETCD_SETTINGS, readEtcdFlags } from '../../agent/config/etcd-settings.ts';
import { lastText } from '../../agent/config/flag-text.ts';
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import { KUBE_PROXY_SETTINGS } from '../../agent/config/kube-proxy-settings.ts';
import { readOwnFlags } from '../../agent/config/own-settings.ts';
import type { Declaration } from '../declaration.ts';
import type { CommandEffects } from '../effects.ts';
import { readText } from '../start-agent.ts';
import { declareSettings } from './flags.ts';

export function declareAgentFlags(declaration: Declaration): Declaration {
  declaration.option('config', {
    type: 'string',
    describe: 'YAML file with these settings and those of the components, or a directory of such',
  });
  declaration.option('init-only', {
    type: 'boolean',
    describe: 'Do what needs full privileges (sysctls), then exit',
  });
  declareSettings(declaration, AGENT_SETTINGS);
  declareSettings(declaration, ETCD_SETTINGS);
  return declareSettings(declaration, { mode: KUBE_PROXY_SETTINGS.mode });
}

/** What the flags and the files that `--config` names make of an agent. Throws ConfigError. */
export function configOfAgent(values: FlagValues, effects: CommandEffects): AgentConfig {
  const proxyMode = lastText(values['proxy-mode']);
  const flags: AgentFlags = {
    ...agentFlagTexts(values),
    ...(proxyMode === undefined ? {} : { proxyMode }),
    isInitOnly: values['init-only'] === true,
    etcd: readEtcdFlags(values),
    own: readOwnFlags(values),
  };
  const path = lastText(values['config']);
  const paths = path === undefined ? [] : effects.configPaths(path);
  const files = paths.map((file) => ({ path: file, text: readText('--config', file, effects) }));
  return resolveAgentConfig(flags, files, effects.surroundings);
}
