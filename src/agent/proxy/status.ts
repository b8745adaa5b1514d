import type { ModeChoice } from '../../proxy/modes/auto.ts';
import type { RulesKind } from '../../proxy/modes/names.ts';
import type { ProxierHealth } from '../../proxy/proxier-health.ts';
import type { ServiceProxy } from '../../proxy/service-proxy.ts';
import type { ProxySnapshot } from '../../proxy/snapshot.ts';
import type { AuditReport } from '../../util/audit.ts';
import type { ProxyHealth } from '../http/health.ts';
import { auditStatus } from '../status/audit-status.ts';
import type { FamilyStatus, ProxyStatus } from '../status/values.ts';
import type { TakeOver } from './take-over.ts';

/** Rules that somebody else had changed and that were put right. */
export interface RepairLog {
  readonly count: number;
  readonly last?: { readonly atMs: number; readonly what: string; readonly by: string };
}

export interface StatusFacts {
  readonly choice: ModeChoice;
  readonly rules: RulesKind;
  readonly health: ProxyHealth;
  readonly repairs: RepairLog;
  /** Of each family; none in modes that watch the kernel themselves. */
  readonly audits: readonly AuditReport[];
  readonly formerRules: readonly RulesKind[];
  readonly takeOver: Pick<TakeOver, 'putOff'>;
}

/** The Service proxy's part of `weft status`. */
export function proxyStatus(
  proxy: Pick<ServiceProxy, 'snapshots' | 'health'>,
  facts: StatusFacts,
): ProxyStatus {
  const { choice, rules, health, repairs } = facts;
  const { last } = repairs;
  return {
    ...choice,
    rules,
    families: Array.from(proxy.snapshots(), ([family, snapshot]) => ({
      ...familyStatus(snapshot, proxy.health.get(family)),
      isHealthy: health.families.get(family)?.isHealthy ?? false,
    })),
    repairs: repairs.count,
    ...(last === undefined
      ? {}
      : { lastRepair: { at: timeText(last.atMs), what: last.what, by: last.by } }),
    ...(facts.audits.length === 0 ? {} : { audit: auditStatus(facts.audits) }),
    formerRules: facts.formerRules,
    kubeProxyTables: facts.takeOver.putOff,
  };
}

function familyStatus(
  { family, isSynced, pending, services, slices }: ProxySnapshot,
  sync: ProxierHealth | undefined,
): Omit<FamilyStatus, 'isHealthy'> {
  let [serviceCount, servicePorts, endpoints] = [0, 0, 0];
  for (const [key, { ports }] of services()) {
    serviceCount += 1;
    servicePorts += ports.length;
    for (const slice of slices(key)) endpoints += slice.endpoints.length;
  }
  const { queuedAtMs, updatedAtMs, failure } = sync ?? {};
  return {
    family,
    isSynced,
    services: serviceCount,
    servicePorts,
    endpoints,
    pending: pending.size,
    ...(queuedAtMs === undefined ? {} : { pendingSince: timeText(queuedAtMs) }),
    ...(updatedAtMs === undefined ? {} : { lastSyncAt: timeText(updatedAtMs) }),
    ...(failure === undefined
      ? {}
      : { lastError: { at: timeText(failure.atMs), reason: failure.reason } }),
  };
}

function timeText(atMs: number): string {
  return new Date(atMs).toISOString();
}
