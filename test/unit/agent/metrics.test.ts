import { describe, expect, test } from 'vitest';
import { createAgentMetrics } from '../../../src/agent/metrics.ts';

const create = (hasProcessMetrics = false) =>
  createAgentMetrics({ version: '1.2.3', nodeVersion: 'v26.0.0', hasProcessMetrics });

/** `name type` of every family, sorted. */
function families(text: string): readonly string[] {
  return [...text.matchAll(/^# TYPE (\S+ \S+)$/gm)].map(([, family]) => family ?? '').sort();
}

/** The value of one series, undefined when it is absent. */
function sample(text: string, series: string): number | undefined {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

test('names and types of a fresh registry', async () => {
  expect(families(await create().render())).toEqual([
    'kubeproxy_conntrack_reconciler_deleted_entries_total counter',
    'kubeproxy_conntrack_reconciler_sync_duration_seconds histogram',
    'kubeproxy_network_programming_duration_seconds histogram',
    'kubeproxy_proxy_healthz_total counter',
    'kubeproxy_proxy_livez_total counter',
    'kubeproxy_sync_full_proxy_rules_duration_seconds histogram',
    'kubeproxy_sync_partial_proxy_rules_duration_seconds histogram',
    'kubeproxy_sync_proxy_rules_duration_seconds histogram',
    'kubeproxy_sync_proxy_rules_endpoint_changes_pending gauge',
    'kubeproxy_sync_proxy_rules_endpoint_changes_total counter',
    'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds gauge',
    'kubeproxy_sync_proxy_rules_last_timestamp_seconds gauge',
    'kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total counter',
    'kubeproxy_sync_proxy_rules_nftables_sync_failures_total counter',
    'kubeproxy_sync_proxy_rules_no_local_endpoints_total gauge',
    'kubeproxy_sync_proxy_rules_service_changes_pending gauge',
    'kubeproxy_sync_proxy_rules_service_changes_total counter',
    'weft_build_info gauge',
    'weft_cni_leaked_total counter',
    'weft_cni_repairs_total counter',
    'weft_cni_request_duration_seconds histogram',
    'weft_cni_requests_total counter',
    'weft_cni_suspected_reservations gauge',
    'weft_kube_errors_total counter',
    'weft_kube_lists_total counter',
    'weft_kube_watches_total counter',
    'weft_nftables_repairs_total counter',
  ]);
});

test('every family has a help text of its own', async () => {
  const helps = [...(await create().render()).matchAll(/^# HELP \S+ (.+)$/gm)].map(([, h]) => h);
  expect(new Set(helps).size).toBe(helps.length);
});

test('process metrics join on request', async () => {
  const text = await create(true).render();
  expect(families(text)).toContain('process_resident_memory_bytes gauge');
});

test('two registries do not meet', async () => {
  create(true).nftablesRepaired('ip weft-proxy');
  expect(await create(true).render()).not.toContain('weft_nftables_repairs_total{');
});

describe('callbacks', () => {
  const metrics = create();
  const { conntrack, proxy } = metrics;

  test.each<[string, () => void, string, number]>([
    [
      'sync duration',
      () => proxy.syncFinished(4, 0.003, 'full'),
      'kubeproxy_sync_proxy_rules_duration_seconds_bucket{le="0.004",ip_family="IPv4"}',
      1,
    ],
    [
      'full sync',
      () => proxy.syncFinished(6, 20, 'full'),
      'kubeproxy_sync_full_proxy_rules_duration_seconds_bucket{le="16.384",ip_family="IPv6"}',
      0,
    ],
    [
      'partial sync',
      () => proxy.syncFinished(6, 1, 'partial'),
      'kubeproxy_sync_partial_proxy_rules_duration_seconds_sum{ip_family="IPv6"}',
      1,
    ],
    [
      'any sync',
      () => undefined,
      'kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv6"}',
      2,
    ],
    [
      'programming',
      () => proxy.endpointsProgrammed(4, 61),
      'kubeproxy_network_programming_duration_seconds_bucket{le="65",ip_family="IPv4"}',
      1,
    ],
    [
      'queued',
      () => proxy.syncQueued(4, 1_700_000_000_500),
      'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family="IPv4"}',
      1_700_000_000.5,
    ],
    [
      'committed',
      () => proxy.syncCommitted(6, 1_700_000_000_000),
      'kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv6"}',
      1_700_000_000,
    ],
    [
      'sync failure',
      () => proxy.syncFailed(4),
      'kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family="IPv4"}',
      1,
    ],
    [
      'cleanup failure',
      () => proxy.cleanupFailed(6),
      'kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total{ip_family="IPv6"}',
      1,
    ],
    [
      'service change',
      () => proxy.changesTracked('service', 3),
      'kubeproxy_sync_proxy_rules_service_changes_total',
      1,
    ],
    ['services pending', () => undefined, 'kubeproxy_sync_proxy_rules_service_changes_pending', 3],
    [
      'endpoint change',
      () => proxy.changesTracked('endpoint', 4),
      'kubeproxy_sync_proxy_rules_endpoint_changes_total',
      1,
    ],
    [
      'endpoints taken',
      () => proxy.changesTaken('endpoint', 2),
      'kubeproxy_sync_proxy_rules_endpoint_changes_pending',
      2,
    ],
    [
      'no local endpoints',
      () => proxy.withoutLocalEndpoints(4, 'external', 2),
      'kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="external"}',
      2,
    ],
    [
      'conntrack duration',
      () => conntrack.conntrackSyncDuration(4, 0.5),
      'kubeproxy_conntrack_reconciler_sync_duration_seconds_count{ip_family="IPv4"}',
      1,
    ],
    [
      'conntrack deleted',
      () => conntrack.conntrackDeleted(6, 7),
      'kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family="IPv6"}',
      7,
    ],
    ['healthz', () => metrics.healthzAnswered(503), 'kubeproxy_proxy_healthz_total{code="503"}', 1],
    ['livez', () => metrics.livezAnswered(200), 'kubeproxy_proxy_livez_total{code="200"}', 1],
    [
      'cni request',
      () => metrics.cniRequest('ADD', 11, 0.002),
      'weft_cni_requests_total{verb="ADD",code="11"}',
      1,
    ],
    [
      'cni duration',
      () => metrics.cniRequest('DEL', 0, 0.002),
      'weft_cni_request_duration_seconds_sum{verb="DEL"}',
      0.002,
    ],
    [
      'repair',
      () => metrics.nftablesRepaired('ip weft-proxy'),
      'weft_nftables_repairs_total{table="ip weft-proxy"}',
      1,
    ],
    ['build', () => undefined, 'weft_build_info{version="1.2.3",node_version="v26.0.0"}', 1],
  ])('%s', async (_name, report, series, want) => {
    report();
    expect(sample(await metrics.render(), series)).toBe(want);
  });
});

test('counts of watches are read at each scrape', async () => {
  const metrics = create();
  let lists = 1;
  metrics.observeKube(() => [
    { resource: 'services', lists, watches: 2, failures: { expired: 3, timeout: undefined } },
    { resource: 'nodes', lists: 1, watches: 1, failures: {} },
  ]);
  await metrics.render();
  lists = 5;
  const text = await metrics.render();
  expect(
    [
      'weft_kube_lists_total{resource="services"}',
      'weft_kube_watches_total{resource="services"}',
      'weft_kube_errors_total{resource="services",reason="expired"}',
      'weft_kube_lists_total{resource="nodes"}',
    ].map((series) => sample(text, series)),
  ).toEqual([5, 2, 3, 1]);
});

test('bucket bounds are those of kube-proxy', async () => {
  const metrics = create();
  metrics.proxy.syncFinished(4, 1, 'full');
  metrics.proxy.endpointsProgrammed(4, 1);
  const text = await metrics.render();
  const bounds = (name: string) =>
    [...text.matchAll(new RegExp(`^${name}_bucket\\{le="([^"]+)"`, 'gm'))].map(([, le]) => le);
  expect(bounds('kubeproxy_sync_proxy_rules_duration_seconds')).toEqual(
    [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384]
      .map((ms) => String(ms / 1000))
      .concat('+Inf'),
  );
  const programming = bounds('kubeproxy_network_programming_duration_seconds');
  expect([programming.length, programming.slice(0, 4), programming.slice(-9)]).toEqual([
    2 + 59 + 12 + 7 + 1,
    ['0.25', '0.5', '1', '2'],
    ['115', '120', '150', '180', '210', '240', '270', '300', '+Inf'],
  ]);
});
