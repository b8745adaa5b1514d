import type { AgentConfig } from '../config/agent-config.ts';

/** What `/configz` is made of. */
export type ShownConfig = Pick<
  AgentConfig,
  | 'kubeProxy'
  | 'components'
  | 'nodeName'
  | 'source'
  | 'runDir'
  | 'serviceCIDRs'
  | 'logLevel'
  | 'own'
  | 'cni'
  | 'fabric'
  | 'policy'
  | 'routing'
>;

/**
 * `/configz`: the settings in effect as JSON, under `kubeproxy.config.k8s.io` those of the proxy, as
 * kube-proxy has them, under `weft` the others by the names of the agent's file. Holds no secret: a
 * kubeconfig is a path, and a URL of a server has no password.
 */
export function configzText(config: ShownConfig): string {
  return JSON.stringify(shownConfig(config));
}

/** The same as a value. */
export function shownConfig(config: ShownConfig): object {
  const { kubeProxy, components, nodeName, source, runDir, serviceCIDRs, logLevel } = config;
  const { own, cni, fabric, policy, routing } = config;
  const weft = {
    components: [...components],
    nodeName,
    ...sourceKeys(source),
    runDir,
    serviceCIDRs,
    logLevel,
    ...own,
    cni,
    fabric,
    policy,
    routing: routingKeys(routing),
  };
  return { 'kubeproxy.config.k8s.io': kubeProxy, weft };
}

/** A password is in a file of its own, whose name is shown. */
function etcdKeys({ kind: _, ...settings }: Extract<AgentConfig['source'], { kind: 'etcd' }>) {
  return { etcd: settings };
}

/** As the file has them; of a password only where it is. */
function routingKeys({
  advertise,
  reflectors,
  announcers,
  peers,
  pools,
  ...others
}: AgentConfig['routing']): object {
  return {
    ...others,
    advertise: [...advertise],
    reflectors: reflectors.text,
    announcers: announcers.text,
    pools: pools.map(({ ranges, isAutomatic, avoidsEdges, ...pool }) => ({
      ...pool,
      ...{ autoAssign: isAutomatic, avoidBuggyIPs: avoidsEdges },
      addresses: ranges.map(({ first, last }) => `${first}-${last}`),
    })),
    peers: peers.map(({ imports, nodes, ...peer }) => ({
      ...{ ...peer, nodes: nodes.text },
      import: imports.map(({ network, longest }) => `${network} le ${longest}`),
    })),
  };
}

function sourceKeys(source: AgentConfig['source']): object {
  switch (source.kind) {
    case 'etcd':
      return etcdKeys(source);
    case 'none':
      return {};
    case 'manifests':
      return { manifests: source.directory };
    case 'apiServer':
      return {
        kubeconfig: source.kubeconfig,
        apiServers: source.servers.map(withoutUser),
        kubelet: source.kubelet,
      };
  }
}

/** `--master` is taken as it is. */
function withoutUser(server: string): string {
  if (!URL.canParse(server)) return server;
  const { origin, pathname } = new URL(server);
  return origin + pathname.replace(/\/$/, '');
}
