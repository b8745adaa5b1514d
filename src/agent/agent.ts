import { writeFileSync } from 'node:fs';
import { wire } from '../netlink/wire.ts';
import { systemClock } from '../util/clock.ts';
import { ConfigError, toError, WeftError } from '../util/errors.ts';
import { createLogger } from '../util/log.ts';
import { startCni } from './cni-component.ts';
import type { AgentConfig } from './config/agent-config.ts';
import { applyConntrackSysctls } from './conntrack-sysctls.ts';
import type { AgentContext } from './context.ts';
import { serveHttp } from './http.ts';
import { Lifecycle } from './lifecycle.ts';
import { createAgentMetrics } from './metrics.ts';
import { openObjectSource } from './object-source.ts';
import { type ProxyComponent, startProxy } from './proxy-component.ts';
import { healthRoutes, metricsRoutes } from './routes.ts';
import { ensureRunDir, lockRunDir } from './run-dir.ts';
import { WEFT_VERSION } from './version.ts';

/**
 * Runs the configured components until SIGTERM or SIGINT. What is in the kernel stays there when
 * the agent ends, and the next start adopts it. Throws ConfigError for a configuration this version
 * cannot serve, BusyError when another agent has the run directory.
 */
export async function runAgent(config: AgentConfig): Promise<void> {
  refuseWhatIsNotBuilt(config);
  const log = createLogger(config.logLevel);
  for (const warning of config.warnings) log.warn({ warning }, 'configuration warning');
  ensureRunDir(config.runDir, process.getuid?.() ?? 0);
  const lock = lockRunDir(config.runDir, process.pid, wire.flock);
  const lifecycle = new Lifecycle({ process, clock: systemClock, log });
  lifecycle.onShutdown('run directory', () => lock.release());
  const metrics = createAgentMetrics({
    version: WEFT_VERSION,
    nodeVersion: process.version,
    hasProcessMetrics: true,
  });
  const context: AgentContext = { config, log, clock: systemClock, lifecycle, metrics };
  await startComponents(context);
  log.info(
    { version: WEFT_VERSION, node: config.nodeName, components: [...config.components] },
    'agent started',
  );
  const code = await lifecycle.finished;
  if (code !== 0) throw new WeftError('SHUTDOWN', 'the agent did not shut down cleanly');
}

async function startComponents(context: AgentContext): Promise<void> {
  const { config, lifecycle } = context;
  if (config.components.has('proxy')) prepareNode(context);
  if (config.isInitOnly) {
    lifecycle.shutdown('--init-only');
    return;
  }
  if (config.components.has('cni')) startCni(context);
  let proxy: ProxyComponent | undefined;
  if (config.components.has('proxy')) {
    const source = await openObjectSource(context);
    proxy = startProxy(context, source);
    source.start(lifecycle.signal);
  }
  await startServers(context, proxy);
}

/** What needs more privileges than serving does. */
function prepareNode({ config, log }: AgentContext): void {
  applyConntrackSysctls(config.proxy.conntrack, log);
  try {
    writeFileSync('/proc/self/oom_score_adj', String(config.proxy.oomScoreAdj));
  } catch (thrown) {
    const reason = toError(thrown).message;
    log.warn({ oomScoreAdj: config.proxy.oomScoreAdj, reason }, 'oom score not set');
  }
}

async function startServers(
  context: AgentContext,
  proxy: ProxyComponent | undefined,
): Promise<void> {
  const { config, log, clock, lifecycle, metrics } = context;
  const { healthzBindAddress, metricsBindAddress, bindAddressHardFail, mode } = config.proxy;
  const health = healthRoutes(
    () => ({
      families: proxy?.health() ?? new Map(),
      isNodeEligible: proxy?.isNodeEligible() ?? true,
      syncPeriodMs: config.proxy.syncPeriodMs,
      nowMs: clock.now(),
    }),
    metrics,
  );
  const routes = metricsRoutes({ metrics, proxyMode: mode, kubeProxy: config.kubeProxy });
  for (const { name, address, served } of [
    { name: 'health', address: healthzBindAddress, served: health },
    { name: 'metrics', address: metricsBindAddress, served: routes },
  ]) {
    if (address === undefined) continue;
    const options = { name, addresses: [address], routes: served, bindAddressHardFail, clock, log };
    const server = serveHttp(options);
    lifecycle.onShutdown(`${name} server`, () => server.close());
    if (bindAddressHardFail) await server.bound;
  }
}

function refuseWhatIsNotBuilt({ components, proxy }: AgentConfig): void {
  if (components.has('fabric')) {
    throw new ConfigError(
      'components',
      'components: fabric is not part of this version; routes between nodes are up to you: choose ' +
        '--components cni,proxy',
    );
  }
  if (components.has('proxy') && proxy.mode !== 'nftables') {
    throw new ConfigError(
      'mode',
      `mode: "${proxy.mode}" is not part of this version; use nftables, which needs kernel 5.13`,
    );
  }
}
