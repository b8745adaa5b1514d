/** `weft agent`: the node agent. */
import type { Argv } from 'yargs';
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
import type { Command } from '../command.ts';
import type { CommandEffects } from '../effects.ts';
import { declareSettings } from '../setting-flags.ts';
import { readText, startAgent } from '../start-agent.ts';

const EPILOGUE = `A flag replaces the setting of the same name in --config, a YAML file:
  components: [cni, proxy]
  nodeName: node-a
  kubeconfig: /etc/weft/kubeconfig     # or manifests: /etc/weft/objects
  etcd: {endpoints: [https://10.0.0.9:2379]}   # or this
  runDir: /run/weft
  logLevel: info
  stateDir: /var/lib/weft              # and the other flags by name: takeOver
  iptablesVariant: auto                # nft or legacy, for iptables and ipvs
  proxy:                               # the fields of KubeProxyConfiguration
    mode: auto                           # or nftables, iptables, ipvs, …
    clusterCIDR: 10.0.0.0/8
    nftables: {minSyncPeriod: 1s}
  cni:
    ipamDirectory: /var/lib/cni/networks
    confDirectory: /etc/cni/net.d        # for the agent's own sweep
    criSocket: /run/containerd/containerd.sock  # optional: lists sandboxes

A change of the file is applied to the running agent where that is possible, else the log names the
key and the old value stays; a wrong file changes nothing.

Probes: /healthz and /livez on proxy.healthzBindAddress (0.0.0.0:10256); /metrics on
proxy.metricsBindAddress (127.0.0.1:10249). SIGTERM stops the agent and leaves pods and
Services working; weft cleanup removes them.`;

export const agentCommand: Command = {
  name: 'agent',
  describe: 'Run the node agent',
  declare,
  run: async (flags, effects) => {
    await startAgent(flags, configOfAgent, effects);
    return 0;
  },
};

function declare(parser: Argv): Argv {
  parser.usage('weft agent [flags]').epilogue(EPILOGUE).option('config', {
    type: 'string',
    requiresArg: true,
    describe: 'YAML file with these settings and those of the components, or a directory of such',
  });
  parser.option('init-only', {
    type: 'boolean',
    describe: 'Do what needs full privileges (sysctls), then exit',
  });
  declareSettings(parser, AGENT_SETTINGS);
  declareSettings(parser, ETCD_SETTINGS);
  return declareSettings(parser, { mode: KUBE_PROXY_SETTINGS.mode });
}

function configOfAgent(values: FlagValues, effects: CommandEffects): AgentConfig {
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
