import { writeFileSync } from 'node:fs';
import { readBootId } from '../cni/machine.ts';
import { openNodeEvents } from '../kernel/node-events.ts';
import { openRtnl } from '../kernel/rtnl.ts';
import { wire } from '../netlink/wire.ts';
import { systemClock } from '../util/clock.ts';
import { toError, WeftError } from '../util/errors.ts';
import { createLevelledLogger, type Logger } from '../util/log.ts';
import { LogSink } from '../util/log-sink.ts';
import { logText } from '../util/log-text.ts';
import { agentStatus } from './agent-status.ts';
import { startChecks } from './checks/start.ts';
import type { ClusterContext } from './cluster-context.ts';
import { startCni } from './cni-component.ts';
import type { AgentConfig } from './config/agent-config.ts';
import type { OwnSettings } from './config/own-settings.ts';
import type { ConfigSource } from './config/reload.ts';
import { FOLLOWERS } from './config/source-settings.ts';
import type { AgentContext } from './context.ts';
import { debugSubjects, startDebug } from './debug/component.ts';
import { DescriptorBudget, openFilesLimit } from './descriptors.ts';
import { startFabric } from './fabric/component.ts';
import { openFlows } from './flows/component.ts';
import { assessProxyHealth } from './http/health.ts';
import { Lifecycle } from './lifecycle.ts';
import { followConfigFile, LiveConfig } from './live-config.ts';
import { createAgentMetrics } from './metrics/metrics.ts';
import { NO_EVENTS } from './objects/events.ts';
import { handOverKubeletServer } from './objects/kubelet-server.ts';
import { openObjectSource } from './objects/open.ts';
import { startPage } from './page/server.ts';
import { openPodMasquerade } from './pod-masquerade.ts';
import { startPolicy } from './policy/component.ts';
import { formerPolicies } from './policy/former.ts';
import { openPolicyNode } from './policy/node.ts';
import { Problems } from './problems.ts';
import { logProcessWarnings } from './process-warnings.ts';
import { startProxy } from './proxy/component.ts';
import { applyConntrackSysctls } from './proxy/conntrack-sysctls.ts';
import { openProxy } from './proxy/open-mode.ts';
import { answerAsked } from './questions.ts';
import { trimProgramPages } from './resident-memory.ts';
import { routedServices, startRouting } from './routing/component.ts';
import { ensureRunDir, lockRunDir } from './run-dir.ts';
import type { RunningParts } from './running-parts.ts';
import { startServers } from './servers.ts';
import { openSupervisor } from './supervisor.ts';
import { recordSysctls, sysctlsOfAgent } from './sysctl-record.ts';
import { WEFT_VERSION } from './version.ts';

/**
 * Runs the configured components until SIGTERM or SIGINT, following the file the configuration came
 * from. What is in the kernel stays there when the agent ends, and the next start adopts it. Throws
 * ConfigError for a configuration this version cannot serve, BusyError when another agent has the
 * run directory.
 */
export async function runAgent(config: AgentConfig, file: ConfigSource | undefined): Promise<void> {
  const sink = openLog(config.own.logFormat);
  process.once('exit', () => sink.flush());
  const { log, setLevel } = createLevelledLogger(config.logLevel, sink);
  logProcessWarnings(process, log);
  for (const warning of config.warnings) log.warn({ warning }, 'configuration warning');
  ensureRunDir(config.runDir, process.getuid?.() ?? 0);
  const lock = lockRunDir(config.runDir, process.pid, wire.flock);
  const hostRoot = process.env['WEFT_HOST_ROOT'];
  if (config.isInitOnly && hostRoot) {
    if (config.source.kind === 'apiServer') {
      await handOverKubeletServer({ clock: systemClock, log }, config.source.kubelet, hostRoot);
    }
    lock.release();
    return;
  }
  const lifecycle = new Lifecycle({ process, clock: systemClock, log });
  lifecycle.onShutdown('run directory', () => lock.release());
  const metrics = createAgentMetrics({
    version: WEFT_VERSION,
    nodeVersion: process.version,
    hasProcessMetrics: true,
  });
  metrics.observeDroppedLogs(() => sink.dropped);
  const nodeEvents = openNodeEvents();
  lifecycle.onShutdown('node events', () => nodeEvents.close());
  const live = new LiveConfig(config);
  live.follow(({ logLevel }) => setLevel(logLevel));
  const context: AgentContext = {
    config,
    live,
    log,
    recentLog: () => sink.recent,
    setLogLevel: setLevel,
    clock: systemClock,
    lifecycle,
    metrics,
    descriptors: new DescriptorBudget(openFilesLimit(), log),
    nodeEvents,
    problems: new Problems(),
    podMasquerade: openPodMasquerade(config.components.has('fabric')),
  };
  await startComponents(context);
  const trimming = trimProgramPages(systemClock, wire.dropProgramPages);
  lifecycle.onShutdown('memory', () => trimming.close());
  if (file !== undefined) followFile(context, file);
  log.info(
    { version: WEFT_VERSION, node: config.nodeName, components: [...config.components] },
    'agent started',
  );
  const supervisor = openSupervisor(process.env, {
    ...{ pid: process.pid, clock: systemClock, log, send: wire.sendUnixDatagram },
  });
  lifecycle.onShutdown('supervisor', () => supervisor.close());
  supervisor.ready();
  const code = await lifecycle.finished;
  if (code !== 0) throw new WeftError('SHUTDOWN', 'the agent did not shut down cleanly');
}

/** Text for who sits before a terminal; programs read JSON. */
function openLog(format: OwnSettings['logFormat']): LogSink {
  const { stderr, env } = process;
  const isTerminal = stderr.isTTY === true;
  if (format === 'json' || (format === 'auto' && !isTerminal)) return new LogSink(2);
  const hasColors = isTerminal && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  return new LogSink(2, { layOut: (line) => logText(line, { hasColors }) });
}

function followFile({ live, clock, log, lifecycle, metrics }: AgentContext, source: ConfigSource) {
  const reloaded = metrics.configReloaded;
  const watch = followConfigFile({ source, live, clock, log, reloaded });
  lifecycle.onShutdown('configuration file', () => watch.close());
}

async function startComponents(context: AgentContext): Promise<void> {
  const { config, lifecycle, live } = context;
  const startedAtMs = context.clock.now();
  rememberSysctls(context.config, context.log);
  live.follow((changed) => rememberSysctls(changed, context.log));
  // Before anything of the node is changed: what it cannot do ends the start.
  const opened = config.components.has('proxy') ? await openProxy(context) : undefined;
  if (opened !== undefined) {
    prepareNode(context.config, context.log);
    live.follow((changed) => prepareNode(changed, context.log));
  }
  if (config.isInitOnly) {
    lifecycle.shutdown('--init-only');
    return;
  }
  const policyNode = config.components.has('policy') ? openPolicyNode(context) : undefined;
  const cni = config.components.has('cni') ? startCni(context, policyNode) : undefined;
  if (cni && !policyNode) context.problems.add(() => formerPolicies());
  const cluster = await openCluster(context);
  const objects = cluster?.objects;
  const hasRouting = config.components.has('routing');
  const services = hasRouting && opened ? routedServices(context) : undefined;
  const proxy = opened && cluster && startProxy(cluster, opened, services);
  const isServing = () => proxy === undefined || assessProxyHealth(proxy.health()).isServing;
  const fabric =
    cluster && config.components.has('fabric') ? startFabric(cluster, isServing) : undefined;
  const surroundings = { proxyMode: proxy?.choice.mode, bypasses: () => cni?.bypasses() };
  const policy = cluster && policyNode && startPolicy(cluster, policyNode, surroundings);
  const routing = cluster && hasRouting ? startRouting(cluster, services) : undefined;
  const parts: RunningParts = { startedAtMs, proxy, cni, fabric, policy, routing, objects };
  const checks = startChecks(context, parts);
  const status = () => agentStatus(context, { ...parts, checks });
  const flows = openFlows(context, { proxy, policy: policy?.view, objects });
  const client = objects?.client;
  const asked = {
    proxy,
    policy: policy?.view,
    fabric,
    cni,
    routing,
    flows,
    client,
    status,
    checks,
  };
  const subjects = debugSubjects(context, asked);
  startDebug(subjects, (line, signal) => answerAsked(line, subjects, signal));
  startPage(subjects);
  objects?.source.start(lifecycle.signal);
  await startServers(context, { proxy, fabric, policy }, objects?.events ?? NO_EVENTS);
}

/** Undefined where no component follows the cluster. */
async function openCluster(context: AgentContext): Promise<ClusterContext | undefined> {
  const { components } = context.config;
  if (!FOLLOWERS.some((component) => components.has(component))) return undefined;
  return { ...context, objects: await openObjectSource(context) };
}

/** Before the first of them is set; without a record nothing is put back later. */
function rememberSysctls({ runDir, proxy }: AgentConfig, log: Logger): void {
  try {
    const rtnl = openRtnl();
    try {
      recordSysctls(runDir, readBootId(), sysctlsOfAgent(proxy, rtnl.links()));
    } finally {
      rtnl.close();
    }
  } catch (thrown) {
    log.warn({ reason: toError(thrown).message }, 'sysctls not recorded');
  }
}

/** What needs more privileges than serving does. */
function prepareNode({ proxy: { conntrack, oomScoreAdj } }: AgentConfig, log: Logger): void {
  applyConntrackSysctls(conntrack, log);
  try {
    writeFileSync('/proc/self/oom_score_adj', String(oomScoreAdj));
  } catch (thrown) {
    log.warn({ oomScoreAdj, reason: toError(thrown).message }, 'oom score not set');
  }
}
