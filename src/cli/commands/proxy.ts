/** `weft proxy`: only the Service proxy, with kube-proxy's flags and file. */
import type { Command } from '../command.ts';

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
  declare: async (declaration) => {
    declaration.usage('weft proxy [flags]').epilogue(EPILOGUE);
    return (await import('../settings/proxy.ts')).declareProxyFlags(declaration);
  },
  run: async (flags, effects) => {
    await (await import('../settings/proxy.ts')).runProxy(flags, effects);
    return 0;
  },
};
