/**
 * What load balancers are told on a Service's `healthCheckNodePort` (kube-proxy's
 * pkg/proxy/healthcheck/service_health.go, KEP-1669): how many endpoints this node has.
 */
import { type IP, type IPFamily, parseIP } from '../net/ip.ts';
import type { Commit, CommitListener } from './commit-listener.ts';
import type { ResolvedPort } from './state.ts';

/** One Service of one address family that has a healthCheckNodePort. */
export interface ServiceHealthCheck {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  /**
   * Distinct addresses of ready endpoints on this node. Terminating ones do not count, although
   * they still serve when nobody else does: the load balancer shall turn away in time.
   */
  readonly localEndpoints: number;
}

/** An address to listen on, at the check's port, and what to answer there. */
export interface HealthListener {
  readonly address: IP;
  readonly check: ServiceHealthCheck;
}

/** Status, headers beside the usual ones, and body. */
export interface ServiceHealthAnswer {
  readonly status: 200 | 503;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const ANY_LOCAL: Readonly<Record<IPFamily, IP>> = { 4: parseIP('0.0.0.0'), 6: parseIP('::') };

/** The health check of one Service, undefined when it has none. */
export function healthCheckOf(
  service: string,
  ports: readonly ResolvedPort[],
): ServiceHealthCheck | undefined {
  const port = ports[0]?.port.policy.healthCheckNodePort;
  if (port === undefined) return undefined;
  const [namespace = '', name = ''] = service.split('/');
  const addresses = new Set<IP>();
  for (const { endpoints } of ports) {
    for (const { target } of endpoints) {
      if (target.isLocal && target.isReady) addresses.add(target.ip);
    }
  }
  return { namespace, name, port, localEndpoints: addresses.size };
}

/** The answer to any request, byte for byte kube-proxy's. */
export function answerServiceHealth(
  { namespace, name, localEndpoints }: ServiceHealthCheck,
  isProxyHealthy: boolean,
): ServiceHealthAnswer {
  const body = {
    service: { namespace, name },
    localEndpoints,
    serviceProxyHealthy: isProxyHealthy,
  };
  return {
    status: localEndpoints > 0 && isProxyHealthy ? 200 : 503,
    headers: { 'X-Load-Balancing-Endpoint-Weight': String(localEndpoints) },
    body: JSON.stringify(body, undefined, '\t'),
  };
}

/** Collects the health checks of what is in the kernel and tells all of them after each commit. */
export class ServiceHealthChecks implements CommitListener {
  readonly #onCommitted: (family: IPFamily, listeners: readonly HealthListener[]) => void;
  readonly #checks = new Map<IPFamily, Map<string, ServiceHealthCheck>>();
  /** Told since the last commit. */
  readonly #told = new Map<IPFamily, Map<string, ServiceHealthCheck | undefined>>();

  constructor(onCommitted: (family: IPFamily, listeners: readonly HealthListener[]) => void) {
    this.#onCommitted = onCommitted;
  }

  programming(family: IPFamily, service: string, ports: readonly ResolvedPort[]): void {
    const told = this.#told.get(family) ?? new Map<string, ServiceHealthCheck | undefined>();
    this.#told.set(family, told);
    const check = healthCheckOf(service, ports);
    // Nearly all Services have none and had none.
    const isNews = check !== undefined || this.#checks.get(family)?.has(service) === true;
    if (isNews) told.set(service, check);
    else told.delete(service);
  }

  committed(family: IPFamily, { isFull, nodePortIPs }: Commit): void {
    const known = isFull ? [] : (this.#checks.get(family) ?? []);
    const checks = new Map(known);
    for (const [service, check] of this.#told.get(family) ?? []) {
      if (check === undefined) checks.delete(service);
      else checks.set(service, check);
    }
    this.#checks.set(family, checks);
    this.#told.delete(family);
    const addresses = nodePortIPs === 'anyLocal' ? [ANY_LOCAL[family]] : nodePortIPs;
    this.#onCommitted(
      family,
      onePerPort(checks).flatMap((check) => addresses.map((address) => ({ address, check }))),
    );
  }
}

/** The API server gives each port once; manifests may not, and then the first by name has it. */
function onePerPort(
  checks: ReadonlyMap<string, ServiceHealthCheck>,
): readonly ServiceHealthCheck[] {
  const byPort = new Map<number, ServiceHealthCheck>();
  for (const [, check] of [...checks].sort(([left], [right]) => (left < right ? 1 : -1))) {
    byPort.set(check.port, check);
  }
  return [...byPort.values()];
}
