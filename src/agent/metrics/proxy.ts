/** kube-proxy's metrics (pkg/proxy/metrics/metrics.go), with its names, labels and buckets. */
import { exponentialBuckets, linearBuckets } from 'prom-client';
import type { IPFamily } from '../../net/ip.ts';
import type { ConntrackMetrics } from '../../proxy/conntrack/reconciler.ts';
import type { ProxyMetrics } from '../../proxy/metrics.ts';
import type { ModeName } from '../../proxy/modes/names.ts';
import type { MetricFactory } from './factory.ts';

/** 1 ms doubling to 16 s, as kube-proxy's sync histograms. */
const SYNC_BUCKETS = exponentialBuckets(0.001, 2, 15);
/** Fine up to a minute, coarse up to five: the steps of kube-proxy's programming SLI. */
const PROGRAMMING_BUCKETS = [
  0.25,
  0.5,
  ...linearBuckets(1, 1, 59),
  ...linearBuckets(60, 5, 12),
  ...linearBuckets(120, 30, 7),
];
/** Registers the metrics of syncs, changes and traffic policies. */
export function createProxyMetrics(metrics: MetricFactory, mode: ModeName): ProxyMetrics {
  return {
    ...createSyncSink(metrics),
    ...createFailureSink(metrics, mode),
    ...createChangeSink(metrics),
    ...createLocalPolicySink(metrics),
  };
}

type SyncSink = Pick<
  ProxyMetrics,
  'syncFinished' | 'endpointsProgrammed' | 'syncQueued' | 'syncCommitted'
>;

function createSyncSink(metrics: MetricFactory): SyncSink {
  const durations = (kind: string, help: string, buckets = SYNC_BUCKETS) => {
    const histogram = metrics.histogram(`kubeproxy_${kind}_seconds`, help, ['ip_family'], buckets);
    return (family: IPFamily, seconds: number) => histogram.observe(familyLabel(family), seconds);
  };
  const times = (kind: string, help: string) => {
    const gauge = metrics.gauge(`kubeproxy_${kind}_timestamp_seconds`, help, ['ip_family']);
    return (family: IPFamily, atMs: number) => gauge.set(familyLabel(family), atMs / 1000);
  };
  const any = durations('sync_proxy_rules_duration', 'Time of one sync');
  const byKind = {
    full: durations('sync_full_proxy_rules_duration', 'Time of a sync that read the kernel back'),
    partial: durations('sync_partial_proxy_rules_duration', 'Time of a sync of changes alone'),
  };
  return {
    syncFinished: (family, seconds, kind) => {
      any(family, seconds);
      byKind[kind](family, seconds);
    },
    endpointsProgrammed: durations(
      'network_programming_duration',
      'From the change of an endpoint to its rules in the kernel',
      PROGRAMMING_BUCKETS,
    ),
    syncQueued: times('sync_proxy_rules_last_queued', 'When a sync was last asked for'),
    syncCommitted: times('sync_proxy_rules_last', 'When a sync last succeeded'),
  };
}

/** In iptables an unused chain stays when rules of others lead to it: that is no failure. */
function createFailureSink(
  metrics: MetricFactory,
  mode: ModeName,
): Pick<ProxyMetrics, 'syncFailed' | 'cleanupFailed'> {
  const failures = (kind: string, help: string) => {
    const name = `kubeproxy_sync_proxy_rules_${kind}_failures_total`;
    const counter = metrics.counter(name, help, ['ip_family']);
    return (family: IPFamily) => counter.inc(familyLabel(family));
  };
  if (mode === 'userspace') {
    const name = 'weft_userspace_sync_failures_total';
    const counter = metrics.counter(name, 'Syncs that failed', ['ip_family']);
    return { syncFailed: (family) => counter.inc(familyLabel(family)), cleanupFailed: () => {} };
  }
  if (mode !== 'nftables') {
    const all = failures('iptables_restore', 'Syncs that iptables did not take');
    const partial =
      mode === 'iptables'
        ? failures('iptables_partial_restore', 'Syncs of changes alone that iptables did not take')
        : () => {};
    const syncFailed: ProxyMetrics['syncFailed'] = (family, kind) => {
      all(family);
      if (kind === 'partial') partial(family);
    };
    return { syncFailed, cleanupFailed: () => {} };
  }
  return {
    syncFailed: failures('nftables_sync', 'Syncs whose transaction failed'),
    cleanupFailed: failures('nftables_cleanup', 'Deletions of unused chains that failed'),
  };
}

function createChangeSink(
  metrics: MetricFactory,
): Pick<ProxyMetrics, 'changesTracked' | 'changesTaken'> {
  const changesOf = (kind: string) => ({
    total: metrics.counter(
      `kubeproxy_sync_proxy_rules_${kind}_changes_total`,
      `Changes of ${kind} objects that affect rules`,
    ),
    pending: metrics.gauge(
      `kubeproxy_sync_proxy_rules_${kind}_changes_pending`,
      `Changes of ${kind} objects that await the next sync`,
    ),
  });
  const changes = { service: changesOf('service'), endpoint: changesOf('endpoint') };
  return {
    changesTracked: (kind, pending) => {
      changes[kind].total.inc();
      changes[kind].pending.set(pending);
    },
    changesTaken: (kind, pending) => changes[kind].pending.set(pending),
  };
}

function createLocalPolicySink(
  metrics: MetricFactory,
): Pick<ProxyMetrics, 'withoutLocalEndpoints'> {
  const ports = metrics.gauge(
    'kubeproxy_sync_proxy_rules_no_local_endpoints_total',
    'Service ports with a Local traffic policy and no endpoint on this Node',
    ['ip_family', 'traffic_policy'],
  );
  return {
    withoutLocalEndpoints: (family, policy, count) =>
      ports.set({ ...familyLabel(family), traffic_policy: policy }, count),
  };
}

/** Registers the metrics of deleting stale connections. */
export function createConntrackMetrics(metrics: MetricFactory): ConntrackMetrics {
  const duration = metrics.histogram(
    'kubeproxy_conntrack_reconciler_sync_duration_seconds',
    'Time to find and delete stale conntrack entries',
    ['ip_family'],
    SYNC_BUCKETS,
  );
  const deleted = metrics.counter(
    'kubeproxy_conntrack_reconciler_deleted_entries_total',
    'Stale conntrack entries deleted',
    ['ip_family'],
  );
  return {
    conntrackSyncDuration: (family, seconds) => duration.observe(familyLabel(family), seconds),
    conntrackDeleted: (family, entries) => deleted.inc(familyLabel(family), entries),
  };
}

function familyLabel(family: IPFamily): { readonly ip_family: 'IPv4' | 'IPv6' } {
  return { ip_family: family === 4 ? 'IPv4' : 'IPv6' };
}
