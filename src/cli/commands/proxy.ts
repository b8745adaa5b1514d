/** `weft proxy`: only the Service proxy, with kube-proxy's flags and file. */
import type { Argv } from 'yargs';
import { type AgentConfig, agentConfigFromKubeProxy } from '../../agent/config/agent-config.ts';
import { AGENT_SETTINGS } from '../../agent/config/agent-settings.ts';
import { lastText } from '../../agent/config/flag-text.ts';
import { renderKubeProxyConfig } from '../../agent/config/kube-proxy-config.ts';
import {
  declareKubeProxyFlags,
  type FlagValues,
  type KubeProxyOptions,
  readKubeProxyOptions,
} from '../../agent/config/kube-proxy-flags.ts';
import { OWN_SETTINGS, readOwnFlags } from '../../agent/config/own-settings.ts';
import type { Command } from '../command.ts';
import type { CommandEffects } from '../effects.ts';
import { declareSettings } from '../setting-flags.ts';
import { readText, startAgent } from '../start-agent.ts';
import { runCleanup } from './cleanup.ts';

const EPILOGUE = `Flags and file are kube-proxy's. With --config its other flags are ignored, except
--hostname-override and those of logging; --state-dir, --log-format, --allow-mass-deletion,
--conntrack-kill-tcp, --endpoint-metrics, --take-over, --iptables-variant, --run-dir and the
limits of mode userspace are weft's own and always count. A change of the file is applied to the
running process where that is possible; a wrong one changes nothing. An empty mode means nftables; auto takes the first of nftables, iptables,
ipvs and userspace that the node can do and stays with it until a reboot. After a start in another
mode the rules of the former one go once the new ones serve.

Examples:
  weft proxy --config config.conf --hostname-override "$NODE_NAME"
  weft proxy --kubeconfig FILE --cluster-cidr 10.0.0.0/8
  weft proxy --proxy-mode nftables --write-config-to config.yaml`;

export const proxyCommand: Command = {
  name: 'proxy',
  describe: "Run only the Service proxy, with kube-proxy's flags and file",
  declare,
  run: async (flags, effects) => {
    await runProxy(flags, effects);
    return 0;
  },
};

function declare(parser: Argv): Argv {
  declareKubeProxyFlags(parser.usage('weft proxy [flags]').epilogue(EPILOGUE));
  declareSettings(parser, { runDir: AGENT_SETTINGS.runDir, ...OWN_SETTINGS });
  return parser.option('version', { type: 'boolean', describe: 'Print the version and exit' });
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

function configOfProxy(flags: FlagValues, effects: CommandEffects): AgentConfig {
  const options = kubeProxyOptions(flags, effects);
  const runDir = lastText(flags['run-dir']);
  return agentConfigFromKubeProxy(options, readOwnFlags(flags), effects.surroundings, runDir);
}

function kubeProxyOptions(flags: FlagValues, effects: CommandEffects): KubeProxyOptions {
  return readKubeProxyOptions(flags, (path) => readText('--config', path, effects));
}
