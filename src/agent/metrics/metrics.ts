/**
 * Every metric of the agent, by name. Those with the prefix `kubeproxy_` are kube-proxy's
 * (pkg/proxy/metrics/metrics.go) with its names, labels and buckets, so existing dashboards and
 * alerts work; those with `weft_` are our own. Labels of these are bounded: never a pod,
 * Service or address. Metrics that do name them come as text from those who count (`appendText`).
 */
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { UpkeepMetrics } from '../../cni/upkeep/upkeep.ts';
import type { AnsweredRequest } from '../../kube/api/client.ts';
import type { Failing } from '../../kube/api/reflector.ts';
import type { ConntrackMetrics } from '../../proxy/conntrack/reconciler.ts';
import type { ProxyMetrics } from '../../proxy/metrics.ts';
import type { ObservedIptables } from '../../proxy/modes/mode.ts';
import type { ModeName } from '../../proxy/modes/names.ts';
import type { ReloadResult } from '../live-config.ts';
import type { PolicyFigures } from '../status/policy-status.ts';
import type { RoutingStatus } from '../status/routing-status.ts';
import { type AuditSink, createAuditSink } from './audit.ts';
import { type ChecksObserver, createChecksObserver } from './checks.ts';
import { type CniRequestSink, createCniSink, createUpkeepSink } from './cni.ts';
import { type ObservedFabric, observeFabric } from './fabric.ts';
import { MetricFactory } from './factory.ts';
import { createFlowSink, type FlowCountSink } from './flows.ts';
import { type ForwarderCounts, observeForwarder } from './forwarder.ts';
import { HealthChecks } from './health-checks.ts';
import { observeIptables } from './iptables.ts';
import { createPodWaitSink, observePolicy, type PodWaitSink } from './policy.ts';
import { type ObservedPolicyCounts, observePolicyCounts } from './policy-counts.ts';
import { createConntrackMetrics, createProxyMetrics } from './proxy.ts';
import { observeRouting } from './routing.ts';

/** Counts one watched resource has collected since the start. */
export interface KubeCounts {
  /** Plural name: `services`. */
  readonly resource: string;
  readonly lists: number;
  readonly watches: number;
  /** Failed lists and watches by reason, of a bounded vocabulary. */
  readonly failures: Readonly<Record<string, number | undefined>>;
  /** Objects that a list lacked and whose deletion is held back now. */
  readonly withheld: number;
  /** The objects are those of the last run: nothing was listed yet. */
  readonly isRestored: boolean;
  /** Why nothing is heard now, and since when (by `Clock.elapsed`). */
  readonly failing?: Failing | undefined;
}

/** What a directory of manifests holds now. */
export interface ManifestCounts {
  /** Files that could not be read, and objects that are there twice. */
  readonly problems: number;
  /** Objects that have no effect. */
  readonly passedOver: number;
}

/** Metrics of the Service proxy in one mode: each has names of its own, as in kube-proxy. */
export interface ModeMetrics {
  readonly proxy: ProxyMetrics;
  /** Rules of ours in this table were found changed by somebody else and put right. */
  rulesRepaired(table: string): void;
}

export interface AgentMetrics {
  /** Registers the metrics of the Service proxy; to be called once. */
  forProxyMode(mode: ModeName): ModeMetrics;
  readonly conntrack: ConntrackMetrics;
  readonly cniRequest: CniRequestSink;
  readonly upkeep: UpkeepMetrics;
  /** Differences that the audits of the kernel's state found. */
  readonly auditFound: AuditSink;
  /** Of the feed of flows. */
  readonly flows: FlowCountSink;
  /** To be called in the mode iptables. */
  observeIptables(observed: ObservedIptables): void;
  /** `read` is asked at each scrape. */
  observeKube(read: () => readonly KubeCounts[]): void;
  /** `read` is asked at each scrape. */
  observeManifests(read: () => ManifestCounts): void;
  /** One request to the API server at `host` (`name:port`). */
  readonly apiAnswered: (host: string, answer: AnsweredRequest) => void;
  /** Registers the metrics of what the agent forwards itself; `read` is asked at each scrape. */
  observeForwarder(read: () => ForwarderCounts): void;
  /** Registers the metrics of the fabric; `read` is asked at each scrape. */
  observeFabric(read: () => ObservedFabric): void;
  /** What the last look at the node has found. */
  readonly observeChecks: ChecksObserver;
  /** Registers the metrics of BGP; `read` is asked at each scrape. */
  observeRouting(read: () => RoutingStatus): void;
  /** Registers the metrics of what policies allow and deny. */
  observePolicyCounts(observed: ObservedPolicyCounts): void;
  /** Registers the metrics of policies; `read` is asked at each scrape. */
  observePolicy(read: () => PolicyFigures): PodWaitSink;
  /** Lines nobody read, asked for at each scrape. */
  observeDroppedLogs(read: () => number): void;
  readonly configReloaded: (result: ReloadResult) => void;
  /** Served apart from the rest. */
  readonly healthChecks: HealthChecks;
  readonly healthzAnswered: (code: number) => void;
  readonly livezAnswered: (code: number) => void;
  readonly contentType: string;
  /** Adds metrics in the text format, asked for at each scrape. */
  readonly appendText: (source: () => Promise<string>) => void;
  /** The exposition text of all metrics. */
  render(): Promise<string>;
}

export interface AgentMetricsOptions {
  readonly version: string;
  readonly nodeVersion: string;
  /** CPU, memory, descriptors and event loop of this process; off in tests of the text. */
  readonly hasProcessMetrics: boolean;
}

/** A registry of its own with every metric of the agent, and the callbacks that feed them. */
export function createAgentMetrics(options: AgentMetricsOptions): AgentMetrics {
  const registry = new Registry();
  const metrics = new MetricFactory(registry);
  const sources = [() => registry.metrics()];
  const auditFound = createAuditSink(metrics);
  metrics
    .gauge('weft_build_info', 'Always 1; the labels tell the release', ['version', 'node_version'])
    .set({ version: options.version, node_version: options.nodeVersion }, 1);
  if (options.hasProcessMetrics) collectDefaultMetrics({ register: registry });
  return {
    forProxyMode: (mode) => createModeMetrics(metrics, mode),
    conntrack: createConntrackMetrics(metrics),
    healthChecks: new HealthChecks(),
    ...createProbeCounters(metrics),
    cniRequest: createCniSink(metrics),
    upkeep: createUpkeepSink(metrics, auditFound),
    auditFound,
    flows: createFlowSink(metrics),
    observeIptables: (observed) => observeIptables(metrics, observed),
    observeKube: createKubeObserver(metrics),
    observeManifests: (read) => observeManifests(metrics, read),
    observeForwarder: (read) => observeForwarder(metrics, read),
    observeFabric: (read) => observeFabric(metrics, read),
    observeChecks: createChecksObserver(metrics),
    observeRouting: (read) => observeRouting(metrics, read),
    observePolicyCounts: (observed) => observePolicyCounts(metrics, observed),
    observePolicy: (read) => {
      observePolicy(metrics, read);
      return createPodWaitSink(metrics);
    },
    apiAnswered: createApiSink(metrics),
    observeDroppedLogs: createLogObserver(metrics),
    configReloaded: createReloadCounter(metrics),
    contentType: registry.contentType,
    appendText: (source) => {
      sources.push(source);
    },
    render: async () => (await Promise.all(sources.map((source) => source()))).join(''),
  };
}

function createModeMetrics(metrics: MetricFactory, mode: ModeName): ModeMetrics {
  const name = `weft_${mode}_repairs_total`;
  const repairs = metrics.counter(name, 'Tables restored after a foreign change', ['table']);
  return {
    proxy: createProxyMetrics(metrics, mode),
    rulesRepaired: (table) => repairs.inc({ table }),
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

/** client-go's metrics (component-base/metrics/prometheus/restclient), for its dashboards. */
function createApiSink(metrics: MetricFactory): AgentMetrics['apiAnswered'] {
  const requests = metrics.counter(
    'rest_client_requests_total',
    'Requests to the API server by status code, method and host',
    ['code', 'method', 'host'],
  );
  const durations = metrics.histogram(
    'rest_client_request_duration_seconds',
    'Time from a request to the API server to the head of its answer',
    ['verb', 'host'],
    [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60],
  );
  return (host, { method, code, seconds }) => {
    requests.inc({ code, method, host });
    durations.observe({ verb: method, host }, seconds);
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
  const gauge = (name: string, help: string, measure: (counts: KubeCounts) => number) =>
    metrics.gauge(name, help, ['resource'], function () {
      this.reset();
      for (const counts of read()) this.set({ resource: counts.resource }, measure(counts));
    });
  gauge(
    'weft_kube_withheld_objects',
    'Objects that a suspicious list lacked and that are kept for now',
    ({ withheld }) => withheld,
  );
  gauge(
    'weft_kube_restored',
    '1 while the objects of the last run stand in for an API server that is not reached',
    ({ isRestored }) => Number(isRestored),
  );
  return (reader) => {
    read = reader;
  };
}

function observeManifests(metrics: MetricFactory, read: () => ManifestCounts): void {
  const gauge = (name: string, help: string, key: keyof ManifestCounts) =>
    metrics.gauge(name, help, [], function () {
      this.set(read()[key]);
    });
  gauge('weft_manifest_problems', 'Manifest files and objects that are wrong', 'problems');
  gauge('weft_manifest_passed_over_objects', 'Manifest objects without effect', 'passedOver');
}

function createLogObserver(metrics: MetricFactory): AgentMetrics['observeDroppedLogs'] {
  let read = () => 0;
  metrics.counter(
    'weft_log_lines_dropped_total',
    'Log lines lost because nobody read them',
    [],
    function () {
      this.reset();
      this.inc(read());
    },
  );
  return (reader) => {
    read = reader;
  };
}

function createReloadCounter(metrics: MetricFactory): AgentMetrics['configReloaded'] {
  const reloads = metrics.counter(
    'weft_config_reload_total',
    'Changes of the configuration file by what became of them',
    ['result'],
  );
  return (result) => reloads.inc({ result });
}
