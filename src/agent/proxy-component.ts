import { openRtnl } from '../kernel/rtnl.ts';
import { sysctls } from '../kernel/sysctls.ts';
import { endpointSlices, nodes, services } from '../kube/resources.ts';
import type { ObjectSource } from '../kube/source.ts';
import type { Node } from '../kube/types.ts';
import type { IP, IPFamily } from '../net/ip.ts';
import { NftablesConnection } from '../nftables/connection.ts';
import { watchTables } from '../nftables/monitor.ts';
import { tableText } from '../nftables/text.ts';
import { kernelTables } from '../proxy/nftables/kernel-table.ts';
import { proxyTable } from '../proxy/nftables/layout.ts';
import { ServiceProxy } from '../proxy/service-proxy.ts';
import type { AgentContext } from './context.ts';
import { isNodeEligible } from './health.ts';

/** What the health server asks the proxy. */
export interface ProxyComponent {
  readonly health: () => ServiceProxy['health'];
  readonly isNodeEligible: () => boolean;
}

/**
 * Starts the Service proxy on a source that is not started yet. Nothing is written before both
 * Services and EndpointSlices were read whole.
 */
export function startProxy(context: AgentContext, source: ObjectSource): ProxyComponent {
  const { config, log, lifecycle } = context;
  const ownPorts = new Set<number>();
  const connect = () => {
    const connection = NftablesConnection.open();
    ownPorts.add(connection.portId);
    return connection;
  };
  // An API server always has a Node object for us, sooner or later; manifests need not.
  const isClusterMember = config.source.kind === 'apiServer';
  let ownNode: Node | undefined;
  let hasNode = isClusterMember;
  const proxy = createProxy(context, connect, () => hasNode);
  const noteNode = (node: Node) => {
    hasNode = true;
    ownNode = node;
    proxy.onNodeUpdate(node);
  };
  const nodesRead = source.watch(nodes(config.nodeName), {
    onAdd: noteNode,
    onUpdate: noteNode,
    onDelete: (node) => {
      ownNode = undefined;
      proxy.onNodeDelete(node);
    },
  });
  const objectsRead = feed(proxy, source);
  void Promise.all([...objectsRead, ...(isClusterMember ? [] : [nodesRead.synced])]).then(() => {
    log.info('services and endpoints read');
    proxy.setSynced();
  });
  lifecycle.onShutdown('service proxy', () => proxy.stop());
  repairOnDrift(context, proxy, ownPorts);
  return {
    health: () => proxy.health,
    isNodeEligible: () => (hasNode ? isNodeEligible(ownNode) : true),
  };
}

/** Hands Services and EndpointSlices on; the promises resolve when each was read whole. */
function feed(proxy: ServiceProxy, source: ObjectSource): readonly Promise<void>[] {
  const servicesRead = source.watch(services, {
    onAdd: (service) => proxy.onServiceAdd(service),
    onUpdate: (service) => proxy.onServiceUpdate(service),
    onDelete: (service) => proxy.onServiceDelete(service),
  });
  const slicesRead = source.watch(endpointSlices, {
    onAdd: (slice) => proxy.onEndpointSliceAdd(slice),
    onUpdate: (slice, old) => proxy.onEndpointSliceUpdate(slice, old),
    onDelete: (slice) => proxy.onEndpointSliceDelete(slice),
  });
  return [servicesRead.synced, slicesRead.synced];
}

function createProxy(
  { config, log, clock, metrics }: AgentContext,
  connect: () => NftablesConnection,
  hasNodeObjects: () => boolean,
): ServiceProxy {
  return new ServiceProxy({
    families: supportedFamilies(),
    nodeName: config.nodeName,
    localDetection: config.proxy.localDetection,
    nodePortAddresses: config.proxy.nodePortAddresses,
    hasNodeObjects,
    localAddresses,
    masqueradesAll: config.proxy.masqueradeAll,
    minSyncPeriodMs: config.proxy.minSyncPeriodMs,
    syncPeriodMs: config.proxy.syncPeriodMs,
    clock,
    log: log.child({ component: 'proxy' }),
    openTable: kernelTables(connect),
    metrics: metrics.proxy,
  });
}

/** IPv6 only where the kernel has it at all. */
function supportedFamilies(): IPFamily[] {
  const hasIPv6 = sysctls.read(undefined, 'net/ipv6/conf/all/disable_ipv6') !== undefined;
  return hasIPv6 ? [4, 6] : [4];
}

/** Every address of this node's links; short-lived sockets, because it is asked rarely. */
function localAddresses(): readonly IP[] {
  const rtnl = openRtnl();
  try {
    return rtnl.addresses().map(({ address }) => address);
  } finally {
    rtnl.close();
  }
}

/**
 * Somebody else committed a change to one of our tables (`nft flush ruleset` among the ways):
 * the next sync reads it back and puts it right.
 */
function repairOnDrift(
  { log, lifecycle, metrics }: AgentContext,
  proxy: ServiceProxy,
  ownPorts: ReadonlySet<number>,
): void {
  const tables = supportedFamilies().map((family) => ({
    family,
    name: tableText(proxyTable(family)),
  }));
  const watch = watchTables(undefined, (event) => {
    if (event !== 'overflow' && ownPorts.has(event.byPortId)) return;
    for (const { family, name } of tables) {
      if (event !== 'overflow' && !event.tables.has(name)) continue;
      const by = event === 'overflow' ? 'unknown: notifications were lost' : event.byProcess;
      log.warn({ table: name, by }, 'table changed by somebody else, reading it back');
      metrics.nftablesRepaired(name);
      proxy.resync(family);
    }
  });
  lifecycle.onShutdown('table monitor', () => watch.close());
}
