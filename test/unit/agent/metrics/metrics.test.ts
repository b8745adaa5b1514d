import { describe, expect, test } from 'vitest';
import { createAgentMetrics } from '../../../../src/agent/metrics/metrics.ts';
import type { PacketCounts } from '../../../../src/proxy/modes/iptables/packet-counts.ts';
import type { ModeName } from '../../../../src/proxy/modes/names.ts';

const create = (hasProcessMetrics = false, mode: ModeName = 'nftables') => {
  const metrics = createAgentMetrics({
    version: '1.2.3',
    nodeVersion: 'v26.0.0',
    hasProcessMetrics,
  });
  return { ...metrics, ...metrics.forProxyMode(mode) };
};

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
    'rest_client_request_duration_seconds histogram',
    'rest_client_requests_total counter',
    'weft_audit_differences_total counter',
    'weft_build_info gauge',
    'weft_check_ok gauge',
    'weft_cni_leaked_total counter',
    'weft_cni_repairs_total counter',
    'weft_cni_request_duration_seconds histogram',
    'weft_cni_requests_total counter',
    'weft_cni_suspected_reservations gauge',
    'weft_config_reload_total counter',
    'weft_flow_events_lost_total counter',
    'weft_flow_events_total counter',
    'weft_kube_errors_total counter',
    'weft_kube_lists_total counter',
    'weft_kube_restored gauge',
    'weft_kube_watches_total counter',
    'weft_kube_withheld_objects gauge',
    'weft_log_lines_dropped_total counter',
    'weft_nftables_repairs_total counter',
  ]);
});

test('the mode iptables has its own names', async () => {
  const [nftables, iptables] = await Promise.all(
    (['nftables', 'iptables'] as const).map((mode) => create(false, mode).render()),
  );
  const others = new Set(families(nftables ?? ''));
  expect(families(iptables ?? '').filter((family) => !others.has(family))).toEqual([
    'kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total counter',
    'kubeproxy_sync_proxy_rules_iptables_restore_failures_total counter',
    'weft_iptables_repairs_total counter',
  ]);
  expect(iptables).not.toContain('nftables');
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
  create(true).rulesRepaired('ip weft-proxy');
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
      () => proxy.syncFailed(4, 'full'),
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
      () => metrics.rulesRepaired('ip weft-proxy'),
      'weft_nftables_repairs_total{table="ip weft-proxy"}',
      1,
    ],
    [
      'API request',
      () => metrics.apiAnswered('10.0.0.1:6443', { method: 'GET', code: '200', seconds: 0.3 }),
      'rest_client_requests_total{code="200",method="GET",host="10.0.0.1:6443"}',
      1,
    ],
    [
      'API request without answer',
      () => metrics.apiAnswered('h', { method: 'POST', code: '<error>', seconds: 3 }),
      'rest_client_requests_total{code="<error>",method="POST",host="h"}',
      1,
    ],
    [
      'API request duration',
      () => undefined,
      'rest_client_request_duration_seconds_bucket{le="0.5",verb="GET",host="10.0.0.1:6443"}',
      1,
    ],
    [
      'reload',
      () => metrics.configReloaded('invalid'),
      'weft_config_reload_total{result="invalid"}',
      1,
    ],
    ['dropped lines', () => metrics.observeDroppedLogs(() => 5), 'weft_log_lines_dropped_total', 5],
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
    {
      resource: 'services',
      lists,
      watches: 2,
      failures: { expired: 3, timeout: undefined },
      withheld: 4,
      isRestored: true,
    },
    { resource: 'nodes', lists: 1, watches: 1, failures: {}, withheld: 0, isRestored: false },
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
      'weft_kube_withheld_objects{resource="services"}',
      'weft_kube_restored{resource="services"}',
      'weft_kube_restored{resource="nodes"}',
    ].map((series) => sample(text, series)),
  ).toEqual([5, 2, 3, 1, 4, 1, 0]);
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

test('a failed sync of changes alone counts twice in mode iptables', async () => {
  const { proxy, render } = create(false, 'iptables');
  proxy.syncFailed(4, 'full');
  proxy.syncFailed(4, 'partial');
  const text = await render();
  const failures = (kind: string) =>
    sample(text, `kubeproxy_sync_proxy_rules_iptables_${kind}_failures_total{ip_family="IPv4"}`);
  expect([failures('restore'), failures('partial_restore')]).toEqual([2, 1]);
});

test('rules and packets of mode iptables', async () => {
  const metrics = create(false, 'iptables');
  const total = { filter: 20, nat: 300, mangle: 1 };
  const last = { filter: 0, nat: 7, mangle: 0 };
  let packets: PacketCounts | undefined;
  metrics.observeIptables({ rules: () => [[6, { total, last }]], packets: () => packets });
  const dropped = 'kubeproxy_iptables_ct_state_invalid_dropped_packets_total';
  const accepted = 'kubeproxy_iptables_localhost_nodeports_accepted_packets_total';
  expect(sample(await metrics.render(), dropped)).toBe(0);
  packets = { droppedInvalid: 4, loopbackNodePorts: 5 };
  const text = await metrics.render();
  expect([sample(text, dropped), sample(text, accepted)]).toEqual([4, 5]);
  const rules = (name: string, table: string) =>
    sample(text, `kubeproxy_sync_proxy_rules_iptables_${name}{table="${table}",ip_family="IPv6"}`);
  expect([rules('total', 'filter'), rules('total', 'nat'), rules('last', 'nat')]).toEqual([
    20, 300, 7,
  ]);
});

test('labels are those of kube-proxy', async () => {
  const metrics = create();
  const { proxy, conntrack } = metrics;
  for (const kind of ['full', 'partial'] as const) proxy.syncFinished(4, 1, kind);
  proxy.endpointsProgrammed(4, 1);
  proxy.syncQueued(4, 1);
  proxy.syncCommitted(4, 1);
  proxy.syncFailed(4, 'full');
  proxy.cleanupFailed(4);
  proxy.withoutLocalEndpoints(4, 'internal', 1);
  conntrack.conntrackSyncDuration(4, 1);
  conntrack.conntrackDeleted(4, 1);
  metrics.healthzAnswered(200);
  metrics.livezAnswered(200);
  const labels = new Map<string, string>();
  for (const line of (await metrics.render()).split('\n')) {
    const [, name = '', text = ''] = /^(kubeproxy_\w+)(?:\{(.*)\})? /.exec(line) ?? [];
    const keys = [...text.matchAll(/(\w+)="/g)].map(([, key]) => key ?? '');
    labels.set(name.replace(/_(bucket|sum|count)$/, ''), keys.filter((key) => key !== 'le').join());
  }
  labels.delete('');
  expect(Object.fromEntries(labels)).toEqual({
    kubeproxy_conntrack_reconciler_deleted_entries_total: 'ip_family',
    kubeproxy_conntrack_reconciler_sync_duration_seconds: 'ip_family',
    kubeproxy_network_programming_duration_seconds: 'ip_family',
    kubeproxy_proxy_healthz_total: 'code',
    kubeproxy_proxy_livez_total: 'code',
    kubeproxy_sync_full_proxy_rules_duration_seconds: 'ip_family',
    kubeproxy_sync_partial_proxy_rules_duration_seconds: 'ip_family',
    kubeproxy_sync_proxy_rules_duration_seconds: 'ip_family',
    kubeproxy_sync_proxy_rules_endpoint_changes_pending: '',
    kubeproxy_sync_proxy_rules_endpoint_changes_total: '',
    kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds: 'ip_family',
    kubeproxy_sync_proxy_rules_last_timestamp_seconds: 'ip_family',
    kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total: 'ip_family',
    kubeproxy_sync_proxy_rules_nftables_sync_failures_total: 'ip_family',
    kubeproxy_sync_proxy_rules_no_local_endpoints_total: 'ip_family,traffic_policy',
    kubeproxy_sync_proxy_rules_service_changes_pending: '',
    kubeproxy_sync_proxy_rules_service_changes_total: '',
  });
});

test('metrics that others write follow the rest', async () => {
  const metrics = create();
  metrics.appendText(async () => '# TYPE a counter\na 1\n');
  metrics.appendText(async () => 'b 2\n');
  const text = await metrics.render();
  expect(text.endsWith('\n# TYPE a counter\na 1\nb 2\n')).toBe(true);
  expect(sample(text, 'a')).toBe(1);
});
