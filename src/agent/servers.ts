import { errorCode } from '../util/errors.ts';
import type { AgentContext } from './context.ts';
import type { FabricComponent } from './fabric/component.ts';
import type { HealthFacts } from './http/health.ts';
import { serveHttp } from './http/http.ts';
import { profilingRoutes } from './http/profiling.ts';
import { healthRoutes, metricsRoutes } from './http/routes.ts';
import { type EventSink, nodeOf } from './objects/events.ts';
import type { PolicyComponent } from './policy/component.ts';
import type { ProxyComponent } from './proxy/component.ts';
import { findKubeProxy, seesNodeProcesses, stopAdvice } from './proxy/kube-proxy-process.ts';
import { WEFT_VERSION } from './version.ts';

/** Whose health is asked for, as far as they run. */
export interface ServedComponents {
  readonly proxy: ProxyComponent | undefined;
  readonly fabric: FabricComponent | undefined;
  readonly policy: PolicyComponent | undefined;
}

/**
 * Starts the health and the metrics server. Throws IoError for a port that is taken only with
 * bindAddressHardFail; else it is tried again, and an Event tells the Node.
 */
export async function startServers(
  context: AgentContext,
  { proxy, fabric, policy }: ServedComponents,
  events: EventSink,
): Promise<void> {
  const { config, log, clock, lifecycle, descriptors, problems } = context;
  const { healthzBindAddress, metricsBindAddress, bindAddressHardFail } = config.proxy;
  for (const server of [
    {
      name: 'health',
      most: descriptors.limits.health,
      address: healthzBindAddress,
      routes: routesOfHealth(context, { proxy, fabric, policy }),
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
    if (address === undefined) {
      log.info({ server: name }, 'server is off: its bind address is empty');
      continue;
    }
    const onBindFailure = (error: Error) => {
      const note = error.message;
      const about = nodeOf(config);
      events.send({ about, type: 'Warning', reason, action: 'StartKubeProxy', note });
      return explainBindFailure(error);
    };
    const running = serveHttp({
      name,
      most,
      addresses: [address],
      routes,
      bindAddressHardFail,
      onBindFailure,
      clock,
      log,
    });
    problems.add(() => running.failures());
    lifecycle.onShutdown(`${name} server`, () => running.close());
    if (bindAddressHardFail) await running.bound;
  }
}

/** A port that is taken is most often a kube-proxy's: these are its numbers. */
function explainBindFailure({ cause }: Error): object | undefined {
  if (errorCode(cause) !== 'EADDRINUSE') return undefined;
  const running = findKubeProxy();
  if (running !== undefined) {
    return { holder: `a kube-proxy, pid ${running.pid}`, cure: stopAdvice(running) };
  }
  const cure = 'see ss -ltnp for who has it, or choose another address';
  if (seesNodeProcesses()) return { cure };
  return { holder: 'perhaps a kube-proxy: without hostPID it is not seen', cure };
}

function routesOfHealth(
  { config, clock, metrics }: AgentContext,
  { proxy, fabric, policy }: ServedComponents,
) {
  const withoutProxy = (): HealthFacts => ({
    families: new Map(),
    isNodeEligible: true,
    syncPeriodMs: config.proxy.syncPeriodMs,
    nowMs: clock.now(),
  });
  const others = () =>
    Object.entries({ fabric, policy }).flatMap(([name, component]) => {
      const reason = component?.whyNotReady() ?? '';
      return reason === '' ? [] : [`${name}: ${reason}`];
    });
  return healthRoutes(proxy?.health ?? withoutProxy, others, metrics);
}

function routesOfMetrics(
  { config, clock, live, metrics, setLogLevel }: AgentContext,
  proxy: ProxyComponent | undefined,
) {
  const { mode, hasProfiling } = config.proxy;
  const proxyMode = proxy?.choice.mode ?? mode;
  const profiling = hasProfiling ? profilingRoutes(setLogLevel) : undefined;
  const startedAtMs = clock.now() - upMs();
  return metricsRoutes({
    metrics,
    proxyMode,
    profiling,
    config: () => live.current,
    process: () => ({
      version: WEFT_VERSION,
      nodeVersion: process.version,
      startedAtMs,
      upMs: upMs(),
    }),
  });
}

function upMs(): number {
  return Math.round(process.uptime() * 1000);
}
