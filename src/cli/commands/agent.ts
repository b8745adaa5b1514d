/** `weft agent`: the node agent. */
import type { Command } from '../command.ts';
import { startAgent } from '../start-agent.ts';

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
  declare: async (declaration) => {
    declaration.usage('weft agent [flags]').epilogue(EPILOGUE);
    return (await import('../settings/agent.ts')).declareAgentFlags(declaration);
  },
  run: async (flags, effects) => {
    const { configOfAgent } = await import('../settings/agent.ts');
    await startAgent(flags, configOfAgent, effects);
    return 0;
  },
};
