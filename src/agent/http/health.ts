/**
 * When the Service proxy counts as alive and as ready for traffic (kube-proxy's
 * pkg/proxy/healthcheck/proxy_health.go, KEP-3836). Times are milliseconds since the epoch.
 */
import { AUTOSCALER_TAINT } from '../../kube/resources.ts';
import type { IPFamily } from '../../net/ip.ts';

/** Sync times of one family's proxier. */
export interface FamilySyncTimes {
  /** Last commit to the kernel; undefined before the first. */
  readonly updatedAtMs: number | undefined;
  /** How long the oldest change waits that is not in the kernel yet; 0 when none does. */
  readonly waitedMs: number;
}

export interface HealthFacts {
  /** Only the families in use. Empty when the proxy component is off. */
  readonly families: ReadonlyMap<IPFamily, FamilySyncTimes>;
  readonly isNodeEligible: boolean;
  readonly syncPeriodMs: number;
  readonly nowMs: number;
}

export interface FamilyHealth {
  readonly updatedAtMs: number | undefined;
  readonly isHealthy: boolean;
}

export interface ProxyHealth {
  /** No family has left a change waiting for longer than twice the sync period. */
  readonly isLive: boolean;
  /** Live, and every family has its first rules in the kernel. */
  readonly isServing: boolean;
  readonly families: ReadonlyMap<IPFamily, FamilyHealth>;
}

/** Status code and body of an answer to a probe. */
export interface ProbeAnswer {
  readonly status: 200 | 503;
  readonly body: string;
}

/** The fields of a Node that decide whether load balancers should send it traffic. */
export interface NodeDrainState {
  readonly metadata: { readonly deletionTimestamp?: string | undefined };
  readonly spec?: { readonly taints?: readonly { readonly key: string }[] | undefined } | undefined;
}

/** How Go prints a time nobody has set. */
const NEVER = '0001-01-01T00:00:00Z';

/**
 * Whether new connections may be sent to the Node: it exists, is not being deleted and the
 * cluster autoscaler has not marked it for removal (KEP-3836).
 */
export function isNodeEligible(node: NodeDrainState | undefined): boolean {
  if (node === undefined || node.metadata.deletionTimestamp !== undefined) return false;
  return !node.spec?.taints?.some((taint) => taint.key === AUTOSCALER_TAINT);
}

/**
 * Health of the proxy. An idle proxy is live for ever; one whose queued change is older than two
 * sync periods is not. A family stops being healthy on the same condition.
 */
export function assessProxyHealth(facts: HealthFacts): ProxyHealth {
  const families = new Map<IPFamily, FamilyHealth>();
  for (const [name, { updatedAtMs, waitedMs }] of facts.families) {
    families.set(name, { updatedAtMs, isHealthy: waitedMs <= 2 * facts.syncPeriodMs });
  }
  const all = [...families.values()];
  const isLive = all.every((family) => family.isHealthy);
  const isServing = isLive && all.every((family) => family.updatedAtMs !== undefined);
  return { isLive, isServing, families };
}

/**
 * `/healthz`: 200 when the proxy is live, its **first sync is in the kernel** and the Node is
 * eligible. Stricter than kube-proxy, which answers 200 from its start on, before it serves
 * anything: a load balancer that trusts it then sends traffic to a Node that drops it.
 */
export function answerHealthz(facts: HealthFacts): ProbeAnswer {
  const health = assessProxyHealth(facts);
  const isReady = health.isServing && facts.isNodeEligible;
  return {
    status: isReady ? 200 : 503,
    body: renderBody(facts, health, health.isServing, { nodeEligible: facts.isNodeEligible }),
  };
}

/**
 * `/readyz`: 200 when what pods of this node need is in place: Services as for `/healthz`, whatever
 * becomes of the Node, and what `others` wait for, in words with their names.
 */
export function answerReadyz(facts: HealthFacts, others: readonly string[]): ProbeAnswer {
  const { isServing } = assessProxyHealth(facts);
  const awaited = [...(isServing ? [] : ['Services are not in the kernel']), ...others];
  const ready = awaited.length === 0;
  return { status: ready ? 200 : 503, body: JSON.stringify({ ready, awaited }) };
}

/** `/livez`: 503 only for a proxy that is stuck. A starting proxy and a drained Node are alive. */
export function answerLivez(facts: HealthFacts): ProbeAnswer {
  const health = assessProxyHealth(facts);
  return { status: health.isLive ? 200 : 503, body: renderBody(facts, health, health.isLive, {}) };
}

/**
 * One JSON line. `lastUpdated` equals `currentTime` while healthy, because old probes compare the
 * two; else it is the oldest family's real time.
 */
function renderBody(
  facts: HealthFacts,
  health: ProxyHealth,
  isHealthy: boolean,
  extra: { readonly nodeEligible?: boolean },
): string {
  const currentTime = renderTime(facts.nowMs);
  const families = [...health.families].sort(([a], [b]) => a - b);
  const status = families.map(([name, family]) => {
    const lastUpdated = renderTime(family.updatedAtMs);
    return [`IPv${name}`, { lastUpdated, healthy: family.isHealthy }];
  });
  return JSON.stringify({
    lastUpdated: isHealthy ? currentTime : renderTime(oldestUpdate(health)),
    currentTime,
    ...extra,
    healthy: isHealthy,
    status: Object.fromEntries(status),
  });
}

function oldestUpdate({ families }: ProxyHealth): number | undefined {
  const times = [...families.values()].map((family) => family.updatedAtMs);
  const known = times.filter((time) => time !== undefined);
  return known.length < times.length ? undefined : Math.min(...known);
}

function renderTime(timeMs: number | undefined): string {
  return timeMs === undefined ? NEVER : new Date(timeMs).toISOString();
}
