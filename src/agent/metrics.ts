/**
 * Every metric of the agent, by name. Those with the prefix `kubeproxy_` are kube-proxy's
 * (pkg/proxy/metrics/metrics.go) with its names, labels and buckets, so existing dashboards and
 * alerts work; those with `weft_` are our own. Labels are bounded: never a pod, Service or address.
 */
import {
  Counter,
  type CounterConfiguration,
  collectDefaultMetrics,
  exponentialBuckets,
  Gauge,
  Histogram,
  linearBuckets,
  Registry,
} from 'prom-client';
import type { UpkeepMetrics } from '../cni/upkeep/upkeep.ts';
import type { IPFamily } from '../net/ip.ts';
import type { ProxyMetrics } from '../proxy/metrics.ts';

/** Counts one watched resource has collected since the start. */
export interface KubeCounts {
  /** Plural name: `services`. */
  readonly resource: string;
  readonly lists: number;
  readonly watches: number;
  /** Failed lists and watches by reason, of a bounded vocabulary. */
  readonly failures: Readonly<Record<string, number | undefined>>;
}

/** What deleting stale connections reports. */
export interface ConntrackMetrics {
  conntrackSyncDuration(family: IPFamily, seconds: number): void;
  conntrackDeleted(family: IPFamily, entries: number): void;
}

export interface AgentMetrics {
  readonly proxy: ProxyMetrics;
  readonly conntrack: ConntrackMetrics;
  /** One CNI request; `code` is the CNI error code, 0 for success. */
  cniRequest(verb: string, code: number, seconds: number): void;
  readonly upkeep: UpkeepMetrics;
  /** A table of ours was found changed by somebody else and put right. */
  nftablesRepaired(table: string): void;
  /** `read` is asked at each scrape. */
  observeKube(read: () => readonly KubeCounts[]): void;
  readonly healthzAnswered: (code: number) => void;
  readonly livezAnswered: (code: number) => void;
  readonly contentType: string;
  /** The exposition text of all metrics. */
  render(): Promise<string>;
}

export interface AgentMetricsOptions {
  readonly version: string;
  readonly nodeVersion: string;
  /** CPU, memory, descriptors and event loop of this process; off in tests of the text. */
  readonly hasProcessMetrics: boolean;
}

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
/** Around the few milliseconds an ADD takes, up to the runtime's own timeout. */
const CNI_BUCKETS = exponentialBuckets(0.0005, 2, 18);

/** A registry of its own with every metric of the agent, and the callbacks that feed them. */
export function createAgentMetrics(options: AgentMetricsOptions): AgentMetrics {
  const registry = new Registry();
  const metrics = new MetricFactory(registry);
  metrics
    .gauge('weft_build_info', 'Always 1; the labels tell the release', ['version', 'node_version'])
    .set({ version: options.version, node_version: options.nodeVersion }, 1);
  if (options.hasProcessMetrics) collectDefaultMetrics({ register: registry });
  const repairs = metrics.counter(
    'weft_nftables_repairs_total',
    'Tables restored after a foreign change',
    ['table'],
  );
  return {
    proxy: {
      ...createSyncSink(metrics),
      ...createChangeSink(metrics),
      ...createLocalPolicySink(metrics),
    },
    conntrack: createConntrackSink(metrics),
    ...createProbeCounters(metrics),
    cniRequest: createCniSink(metrics),
    upkeep: createUpkeepSink(metrics),
    nftablesRepaired: (table) => repairs.inc({ table }),
    observeKube: createKubeObserver(metrics),
    contentType: registry.contentType,
    render: () => registry.metrics(),
  };
}

/** Makes metrics of one registry; a name used twice throws. */
class MetricFactory {
  readonly #registers: Registry[];

  constructor(registry: Registry) {
    this.#registers = [registry];
  }

  counter<T extends string>(
    name: string,
    help: string,
    labelNames: readonly T[] = [],
    collect?: CounterConfiguration<T>['collect'],
  ): Counter<T> {
    const registers = this.#registers;
    return new Counter({ name, help, labelNames, registers, ...(collect ? { collect } : {}) });
  }

  gauge<T extends string>(name: string, help: string, labelNames: readonly T[] = []): Gauge<T> {
    return new Gauge({ name, help, labelNames, registers: this.#registers });
  }

  histogram<T extends string>(
    name: string,
    help: string,
    labelNames: readonly T[],
    buckets: number[],
  ): Histogram<T> {
    return new Histogram({ name, help, labelNames, buckets, registers: this.#registers });
  }
}

type SyncSink = Pick<
  ProxyMetrics,
  | 'syncFinished'
  | 'endpointsProgrammed'
  | 'syncQueued'
  | 'syncCommitted'
  | 'syncFailed'
  | 'cleanupFailed'
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
  const failures = (kind: string, help: string) => {
    const name = `kubeproxy_sync_proxy_rules_nftables_${kind}_failures_total`;
    const counter = metrics.counter(name, help, ['ip_family']);
    return (family: IPFamily) => counter.inc(familyLabel(family));
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
    syncFailed: failures('sync', 'Syncs whose transaction failed'),
    cleanupFailed: failures('cleanup', 'Deletions of unused chains that failed'),
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

function createConntrackSink(metrics: MetricFactory): ConntrackMetrics {
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

function createProbeCounters(
  metrics: MetricFactory,
): Pick<AgentMetrics, 'healthzAnswered' | 'livezAnswered'> {
  const count = (probe: string) => {
    const name = `kubeproxy_proxy_${probe}_total`;
    const counter = metrics.counter(name, `Answers of /${probe} by status code`, ['code']);
    return (code: number) => counter.inc({ code });
  };
  return { healthzAnswered: count('healthz'), livezAnswered: count('livez') };
}

function createCniSink(metrics: MetricFactory): AgentMetrics['cniRequest'] {
  const requests = metrics.counter(
    'weft_cni_requests_total',
    'CNI requests answered, by verb and CNI error code (0 is success)',
    ['verb', 'code'],
  );
  const durations = metrics.histogram(
    'weft_cni_request_duration_seconds',
    'Time from a CNI request to its answer',
    ['verb'],
    CNI_BUCKETS,
  );
  return (verb, code, seconds) => {
    requests.inc({ verb, code });
    durations.observe({ verb }, seconds);
  };
}

function createUpkeepSink(metrics: MetricFactory): UpkeepMetrics {
  const leaks = metrics.counter(
    'weft_cni_leaked_total',
    'Things of no living attachment that were removed',
    ['kind'],
  );
  const suspected = metrics.gauge(
    'weft_cni_suspected_reservations',
    'Addresses that are reserved and not seen in use, without proof that nobody has them',
  );
  const repairs = metrics.counter(
    'weft_cni_repairs_total',
    'Things of living attachments that somebody else had removed or changed',
    ['kind'],
  );
  return {
    leaked: (kind) => leaks.inc({ kind }),
    suspected: (count) => suspected.set(count),
    repaired: (kind) => repairs.inc({ kind }),
  };
}

/** The counts live with the watches; each scrape copies them. */
function createKubeObserver(metrics: MetricFactory): AgentMetrics['observeKube'] {
  let read: () => readonly KubeCounts[] = () => [];
  metrics.counter('weft_kube_lists_total', 'Full lists of a resource', ['resource'], function () {
    this.reset();
    for (const { resource, lists } of read()) this.inc({ resource }, lists);
  });
  metrics.counter('weft_kube_watches_total', 'Watches opened', ['resource'], function () {
    this.reset();
    for (const { resource, watches } of read()) this.inc({ resource }, watches);
  });
  metrics.counter(
    'weft_kube_errors_total',
    'Failed lists and watches by reason',
    ['resource', 'reason'],
    function () {
      this.reset();
      for (const { resource, failures } of read()) {
        for (const [reason, count] of Object.entries(failures))
          this.inc({ resource, reason }, count);
      }
    },
  );
  return (reader) => {
    read = reader;
  };
}

function familyLabel(family: IPFamily): { readonly ip_family: 'IPv4' | 'IPv6' } {
  return { ip_family: family === 4 ? 'IPv4' : 'IPv6' };
}
