import type { IPFamily } from '../net/ip.ts';

/** What the proxy reports; the names in brackets are kube-proxy's metrics of the same meaning. */
export interface ProxyMetrics {
  /** [sync_proxy_rules_duration_seconds], and the full or partial one. */
  syncFinished(family: IPFamily, seconds: number, kind: 'full' | 'partial'): void;
  /**
   * [sync_proxy_rules_nftables_sync_failures_total, sync_proxy_rules_iptables_restore_failures_total,
   * and ..._partial_restore_failures_total for a sync of changes alone]
   */
  syncFailed(family: IPFamily, kind: 'full' | 'partial'): void;
  /** [sync_proxy_rules_nftables_cleanup_failures_total] */
  cleanupFailed(family: IPFamily): void;
  /** [network_programming_duration_seconds], one call per endpoint change of known time. */
  endpointsProgrammed(family: IPFamily, seconds: number): void;
  /** [sync_proxy_rules_last_queued_timestamp_seconds] */
  syncQueued(family: IPFamily, atMs: number): void;
  /** [sync_proxy_rules_last_timestamp_seconds] */
  syncCommitted(family: IPFamily, atMs: number): void;
  /** [sync_proxy_rules_{service,endpoint}_changes_total] and, with `pending`, [..._pending] */
  changesTracked(kind: 'service' | 'endpoint', pending: number): void;
  /** The pending gauges after a sync took the changes. */
  changesTaken(kind: 'service' | 'endpoint', pending: number): void;
  /** [sync_proxy_rules_no_local_endpoints_total] */
  withoutLocalEndpoints(family: IPFamily, policy: 'internal' | 'external', ports: number): void;
}
