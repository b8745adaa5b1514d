import type { Cidr } from '../../net/cidr.ts';
import type { AgentContext } from '../context.ts';
import type { FabricComponent } from '../fabric/component.ts';
import type { ProxyComponent } from '../proxy/component.ts';
import type { RoutingComponent } from '../routing/component.ts';
import type { RunningParts } from '../running-parts.ts';
import type {
  CheckedAddresses,
  CheckedAgent,
  CheckedBgp,
  CheckedFabric,
  CheckedProxy,
  CheckedSource,
} from './checked-node.ts';
import { inventoryOf } from './inventory.ts';

/** What the parts of a running agent know that checks want to know. */
export function checkedAgent(context: AgentContext, parts: RunningParts): CheckedAgent {
  const { config } = context;
  const { proxy, fabric, cni, routing } = parts;
  return {
    components: config.components,
    nodeName: config.nodeName,
    podCIDRs: fabric?.podCIDRs() ?? proxy?.podCIDRs() ?? [],
    proxy: proxy && checkedProxy(context, proxy),
    fabric: fabric && checkedFabric(context, fabric),
    source: checkedSource(context, parts),
    bgp: routing && (() => checkedBgp(routing)),
    addresses: routing && (() => checkedAddresses(context, routing)),
    differing: cni?.differing() ?? [],
  };
}

async function checkedBgp(routing: RoutingComponent): Promise<CheckedBgp> {
  const { sessions } = await routing.statusNow();
  return { sessions, problems: routing.problems() };
}

function checkedAddresses(
  { config }: AgentContext,
  routing: RoutingComponent,
): CheckedAddresses | undefined {
  const { pools, announcer } = routing.status();
  if (pools === undefined && announcer === undefined) return undefined;
  return { pools, announcer, leaseCure: leaseCureOf(config) };
}

function leaseCureOf({ source, routing }: AgentContext['config']): string {
  return source.kind === 'etcd'
    ? `etcdctl role grant-permission ROLE readwrite ${source.prefix}/leases/ --prefix; the same for ${source.prefix}/serviceaddresses/`
    : `see that the server answers, and that weft may get, create and update leases of namespace ${routing.leaseNamespace}`;
}

function checkedProxy({ live }: AgentContext, proxy: ProxyComponent): CheckedProxy {
  const { localDetection } = live.current.proxy;
  const inventory = () => inventoryOf(proxy.snapshots());
  return {
    mode: proxy.choice.mode,
    clusterCIDRs: localDetection?.kind === 'cidrs' ? localDetection.cidrs : [],
    serviceCIDRs: serviceCIDRsOf(proxy),
    nodePorts: () => inventory().nodePorts,
    endpoints: () => inventory().endpoints,
  };
}

function serviceCIDRsOf(proxy: ProxyComponent): readonly Cidr[] {
  const [first] = proxy.snapshots().values();
  return first?.settings.layout.serviceCIDRs ?? [];
}

function checkedFabric({ config }: AgentContext, fabric: FabricComponent): CheckedFabric {
  return {
    masquerades: fabric.masquerades(),
    peers: fabric.peers().filter(({ path }) => path !== 'none'),
    findings: config.fabric.probePort === 0 ? undefined : fabric.paths(),
  };
}

/** Who is asked for objects; files are nobody. */
const SERVERS: Readonly<Record<string, string>> = { apiServer: 'API server', etcd: 'etcd' };

function checkedSource(
  { clock, config }: AgentContext,
  { objects, proxy }: RunningParts,
): CheckedSource | undefined {
  const name = SERVERS[config.source.kind];
  if (objects === undefined || name === undefined) return undefined;
  return {
    location: `${name} ${objects.location()}`,
    access: objects.access(),
    counts: objects.counts(),
    nowMs: clock.elapsed(),
    timeMs: clock.now(),
    skewMs: objects.skewMs(),
    stateProblems: objects.stateProblems(),
    nodeProblem: proxy?.nodeProblems()[0],
  };
}
