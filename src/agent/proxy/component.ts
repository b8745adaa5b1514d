import { masqueradePorts } from '../../fabric/table/definition.ts';
import { openFlowSweeper } from '../../kernel/conntrack-sweep.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { IPFamily } from '../../net/ip.ts';
import { afterFirstCommit } from '../../proxy/after-first-commit.ts';
import type { CommitListener } from '../../proxy/commit-listener.ts';
import { ConntrackReconciler } from '../../proxy/conntrack/reconciler.ts';
import type { ServiceCounts } from '../../proxy/counters/service-counts.ts';
import { ServiceHealthChecks } from '../../proxy/health.ts';
import { followLocalAddresses, type LocalAddresses } from '../../proxy/local-addresses.ts';
import type { ModeChoice } from '../../proxy/modes/auto.ts';
import { RULES, type RulesKind } from '../../proxy/modes/names.ts';
import { parseNode } from '../../proxy/node-addresses.ts';
import type { ProxierSettings } from '../../proxy/proxier.ts';
import { ServiceProxy } from '../../proxy/service-proxy.ts';
import type { ProxySnapshot } from '../../proxy/snapshot.ts';
import type { ClusterContext } from '../cluster-context.ts';
import type { AgentConfig } from '../config/agent-config.ts';
import { findDoubts } from '../config/doubts.ts';
import type { AgentContext } from '../context.ts';
import { assessProxyHealth, type HealthFacts, isNodeEligible } from '../http/health.ts';
import { type EventSink, nodeOf } from '../objects/events.ts';
import type { ProxyStatus } from '../status/values.ts';
import { startAudit } from './audit.ts';
import { applyConntrackSysctls, isConntrackLoaded } from './conntrack-sysctls.ts';
import { repairOnDrift } from './drift.ts';
import { FormerRules } from './former-rules.ts';
import type { ListenFailures } from './forwarders.ts';
import { NodePresence } from './node-presence.ts';
import { feedObjects, NodeFeed } from './object-feed.ts';
import type { OpenedProxy } from './open-mode.ts';
import { removeRules } from './remove-rules.ts';
import { readRulesRecord, writeRulesRecord } from './rules-record.ts';
import { ServiceHealthServers } from './service-health.ts';
import { proxyStatus } from './status.ts';
import { TakeOver } from './take-over.ts';
import { takeOverKernel } from './take-over-kernel.ts';

/** What others ask the proxy. */
export interface ProxyComponent {
  readonly choice: ModeChoice;
  readonly health: () => HealthFacts;
  readonly snapshots: () => ReadonlyMap<IPFamily, ProxySnapshot>;
  readonly status: () => ProxyStatus;
  /** What was counted for Services; undefined in modes that count nothing. */
  readonly counts: () => Promise<ServiceCounts | undefined>;
  /** What of the node makes all of it doubtful, in words. */
  readonly problems: () => readonly string[];
  /** Why no Node is this one, in words; nothing while one is. */
  readonly nodeProblems: () => readonly string[];
  /** Of this node, as its object says. */
  readonly podCIDRs: () => readonly Cidr[];
}

/**
 * Starts the Service proxy on a source that is not started yet. Nothing is written before both
 * Services and EndpointSlices were read whole. `routed` is told of every commit.
 */
export function startProxy(
  context: ClusterContext,
  { mode, choice, families, failures }: OpenedProxy,
  routed: CommitListener | undefined,
): ProxyComponent {
  const { config, clock, log, lifecycle } = context;
  const { events } = context.objects;
  const metrics = context.metrics.forProxyMode(choice.mode);
  for (const doubt of findDoubts(config.proxy)) log.warn({ doubt }, 'configuration doubtful');
  const node = new NodeFeed(config.source.kind === 'apiServer', config.proxy.bindAddress);
  const health = () => healthFacts(context, proxy, node);
  const recorded = readRulesRecord(config.runDir);
  const takeOver = openTakeOver(context, events, [mode.kind, ...recorded]);
  const former = openFormerRules(context, mode.kind, families, recorded);
  const addresses = followLocalAddresses(context.nodeEvents, clock, () =>
    proxy.onLocalAddressesChange(),
  );
  const proxy = new ServiceProxy({
    ...settingsOf(config),
    ...{ families, nodeName: config.nodeName, clock },
    hasNodeObjects: () => node.isExpected,
    localAddresses: () => addresses.read(),
    log: log.child({ component: 'proxy' }),
    openSession: mode.openSession,
    countsEndpoints: config.own.endpointMetrics,
    metrics: metrics.proxy,
    listeners: [
      serveServiceHealth(context, events, () => assessProxyHealth(health()).isLive),
      reconcileConntrack(context, addresses),
      ...mode.listeners(),
      completeSysctls(context),
      former,
      ...[routed, config.own.takeOver ? takeOver : undefined].filter((some) => some !== undefined),
    ],
  });
  lifecycle.onShutdown('address monitor', () => addresses.close());
  lifecycle.onShutdown('service proxy', () => proxy.stop());
  followSettings(context, proxy, node);
  const presence = feed(context, proxy, node);
  const repairs = repairOnDrift(context, {
    ...{ mode, proxy, metrics, events },
    onForeignChange: (tables) => takeOver.noteForeignChange(tables),
  });
  const audits = startAudit(context, proxy, families);
  beginEvents(context, events, failures);
  return {
    ...{ choice, health },
    counts: async () => mode.counts?.(),
    snapshots: () => proxy.snapshots(),
    problems: () => [...presence.problems(), ...takeOver.problems()],
    ...ownNode(node, presence),
    status: () =>
      proxyStatus(proxy, {
        ...{ choice, rules: mode.kind, repairs: repairs(), audits: audits(), takeOver },
        // Tables of our own are looked for without a record too.
        formerRules: former.left.filter((kind) => recorded.has(kind)),
        health: assessProxyHealth(health()),
      }),
  };
}

/** What is known of this node's object. */
function ownNode(node: NodeFeed, presence: NodePresence) {
  return {
    nodeProblems: () => presence.problems(),
    podCIDRs: () => (node.object === undefined ? [] : parseNode(node.object).podCIDRs),
  };
}

function healthFacts(
  { live, clock }: AgentContext,
  proxy: ServiceProxy,
  node: NodeFeed,
): HealthFacts {
  return {
    families: proxy.health,
    isNodeEligible: node.isExpected ? isNodeEligible(node.object) : true,
    syncPeriodMs: live.current.proxy.syncPeriodMs,
    nowMs: clock.now(),
  };
}

/** Hands all objects to the proxy, and looks whether this node's is among them. */
function feed(context: ClusterContext, proxy: ServiceProxy, node: NodeFeed): NodePresence {
  const { config, log } = context;
  const { source, nodeNames } = context.objects;
  const { nodeName } = config;
  const needsNode = config.source.kind === 'apiServer';
  const isMissing = () => node.isMissing;
  const presence = new NodePresence({ nodeName, needsNode, isMissing, nodeNames, log });
  const nodeRead = node.start(proxy, source, nodeName);
  void nodeRead.then(() => presence.check());
  feedObjects(context, proxy, source, nodeRead);
  return presence;
}

function followSettings({ live }: AgentContext, proxy: ServiceProxy, node: NodeFeed): void {
  live.follow((changed) => {
    node.overrideAddress(proxy, changed.proxy.bindAddress);
    proxy.reconfigure(settingsOf(changed));
  });
}

/** Tells the start, as kube-proxy does, and from here on where nobody can listen. */
function beginEvents({ config }: AgentContext, events: EventSink, failures: ListenFailures): void {
  failures.sendTo(events);
  events.send({
    about: nodeOf(config),
    type: 'Normal',
    reason: 'Starting',
    action: 'StartKubeProxy',
    note: '',
  });
}

function openTakeOver(
  { config, clock, log, lifecycle }: AgentContext,
  events: EventSink,
  kinds: readonly RulesKind[],
) {
  const takeOver = new TakeOver({
    kernel: takeOverKernel,
    ownsIptables: kinds.some((kind) => RULES[kind].variant !== undefined),
    clock,
    log,
    report: (type, note) =>
      events.send({
        about: nodeOf(config),
        type,
        reason: 'TakeOver',
        action: 'StartKubeProxy',
        note,
      }),
  });
  lifecycle.onShutdown('take-over', () => takeOver.close());
  return takeOver;
}

/** The kernel loads connection tracking with the first table that needs it: with our first commit. */
function completeSysctls({ live, log, clock }: AgentContext): CommitListener {
  let isDue = !isConntrackLoaded();
  return afterFirstCommit(() => {
    if (isDue) applyConntrackSysctls(live.current.proxy.conntrack, log);
    isDue = false;
    return undefined;
  }, clock);
}

/** Deletes flows that point to endpoints which are gone. */
function reconcileConntrack(
  { config, clock, log, lifecycle, metrics }: AgentContext,
  addresses: LocalAddresses,
): CommitListener {
  const reconciler = new ConntrackReconciler({
    killsTcp: config.own.conntrackKillTCP,
    sweeper: openFlowSweeper(),
    localAddresses: () => addresses.read(),
    clock,
    log: log.child({ component: 'conntrack' }),
    metrics: metrics.conntrack,
  });
  lifecycle.onShutdown('conntrack', () => reconciler.stop());
  return reconciler;
}

/** Rules of the mode before, once ours serve. */
function openFormerRules(
  { config, clock, log, lifecycle }: AgentContext,
  own: RulesKind,
  families: readonly IPFamily[],
  recorded: ReadonlySet<RulesKind>,
): FormerRules {
  const former = new FormerRules({
    own,
    recorded,
    families,
    remove: (kind, family) => removeRules(kind, family, own),
    record: (kinds) => writeRulesRecord(config.runDir, kinds),
    clock,
    log,
  });
  lifecycle.onShutdown('former rules', () => former.close());
  return former;
}

/** The servers on healthCheckNodePorts, which follow what is in the kernel. */
function serveServiceHealth(
  { config, log, lifecycle, descriptors, problems }: AgentContext,
  events: EventSink,
  isProxyHealthy: () => boolean,
): CommitListener {
  const { nodeName } = config;
  const servers = new ServiceHealthServers({
    ...{ isProxyHealthy, nodeName, events, log },
    most: descriptors.limits.serviceHealth,
    mostPorts: descriptors.healthPorts,
  });
  problems.add(() => servers.problems());
  lifecycle.onShutdown('service health servers', () => servers.close());
  return new ServiceHealthChecks((family, wanted) => servers.update(family, wanted));
}

/** What of the configuration a running proxy follows. */
function settingsOf({ proxy: settings, components, fabric }: AgentConfig): ProxierSettings {
  const hasTunnel = components.has('fabric') && fabric.backend !== 'none';
  return {
    localDetection: settings.localDetection,
    nodePortAddresses: settings.nodePortAddresses,
    masqueradesAll: settings.masqueradeAll,
    // Replies to the tunnel's port would be taken for tunnelled packets.
    masqueradedUdpPorts: hasTunnel ? masqueradePorts(fabric.tunnelPort) : undefined,
    minSyncPeriodMs: settings.minSyncPeriodMs,
    syncPeriodMs: settings.syncPeriodMs,
  };
}
