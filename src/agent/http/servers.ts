import type { AgentContext } from '../context.ts';
import type { ProxyComponent } from '../proxy/component.ts';
import { type EventSink, nodeOf } from '../proxy/events.ts';
import { WEFT_VERSION } from '../version.ts';
import type { HealthFacts } from './health.ts';
import { serveHttp } from './http.ts';
import { profilingRoutes } from './profiling.ts';
import { healthRoutes, metricsRoutes } from './routes.ts';

/**
 * Starts the health and the metrics server. Throws IoError for a port that is taken only with
 * bindAddressHardFail; else it is tried again, and an Event tells the Node.
 */
export async function startServers(
  context: AgentContext,
  proxy: ProxyComponent | undefined,
  events: EventSink,
): Promise<void> {
  const { config, log, clock, lifecycle, descriptors } = context;
  const { healthzBindAddress, metricsBindAddress, bindAddressHardFail } = config.proxy;
  for (const server of [
    {
      name: 'health',
      most: descriptors.limits.health,
      address: healthzBindAddress,
      routes: routesOfHealth(context, proxy),
      reason: 'FailedToStartProxierHealthcheck',
    },
    {
      name: 'metrics',
      most: descriptors.limits.metrics,
      address: metricsBindAddress,
      routes: routesOfMetrics(context, proxy),
      reason: 'FailedToStartMetricServer',
    },
  ]) {
    const { name, most, address, routes, reason } = server;
    if (address === undefined) continue;
    const onBindFailure = ({ message }: Error) =>
      events.send({
        about: nodeOf(config),
        type: 'Warning',
        reason,
        action: 'StartKubeProxy',
        note: message,
      });
    const addresses = [address];
    const running = serveHttp({
      name,
      most,
      addresses,
      routes,
      bindAddressHardFail,
      onBindFailure,
      clock,
      log,
    });
    lifecycle.onShutdown(`${name} server`, () => running.close());
    if (bindAddressHardFail) await running.bound;
  }
}

function routesOfHealth(
  { config, clock, metrics }: AgentContext,
  proxy: ProxyComponent | undefined,
) {
  const withoutProxy = (): HealthFacts => ({
    families: new Map(),
    isNodeEligible: true,
    syncPeriodMs: config.proxy.syncPeriodMs,
    nowMs: clock.now(),
  });
  return healthRoutes(proxy?.health ?? withoutProxy, metrics);
}

function routesOfMetrics(
  { config, clock, live, metrics, setLogLevel }: AgentContext,
  proxy: ProxyComponent | undefined,
) {
  const { mode, hasProfiling } = config.proxy;
  const proxyMode = proxy?.choice.mode ?? mode;
  const profiling = hasProfiling ? profilingRoutes(setLogLevel) : undefined;
  const startedAtMs = clock.now() - Math.round(process.uptime() * 1000);
  return metricsRoutes({
    metrics,
    proxyMode,
    profiling,
    config: () => live.current,
    process: () => ({
      version: WEFT_VERSION,
      nodeVersion: process.version,
      startedAtMs,
      nowMs: clock.now(),
    }),
  });
}
