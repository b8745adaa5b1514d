/** What the dashboard shows, row by row. */

type Unit = 'short' | 's' | 'reqps' | 'pps' | 'ops' | 'bytes' | 'percentunit' | 'cps';

interface Query {
  readonly expr: string;
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  readonly about: string;
  readonly unit: Unit;
  readonly kind?: 'timeseries' | 'stat' | 'table';
  readonly width?: number;
  readonly queries: readonly Query[];
  /** Red from here on: of a stat. */
  readonly bad?: number;
}

/** What is chosen above the panels. */
const OF = 'job="$job",instance=~"$node"';
const rate = (metric: string, by: string, labels = '') =>
  `sum by (${by}) (rate(${metric}{${OF}${labels}}[$__rate_interval]))`;
const quantile = (share: number, metric: string, by: string, labels = '') =>
  `histogram_quantile(${share}, sum by (${by}, le) (rate(${metric}_bucket{${OF}${labels}}[$__rate_interval])))`;

const stat = (title: string, about: string, expr: string, bad?: number): Panel => ({
  ...{ title, about, unit: 'short', kind: 'stat', width: 4, queries: [{ expr, legend: '' }] },
  ...(bad === undefined ? {} : { bad }),
});

export const ROWS: Readonly<Record<string, readonly Panel[]>> = {
  Overview: [
    stat('Agents', 'That are scraped', `count(weft_build_info{${OF}})`),
    stat(
      'Checks that are not well',
      'weft doctor says which',
      `count(weft_check_ok{${OF}} == 0) or vector(0)`,
      1,
    ),
    stat(
      'Fabric not ready',
      'Nodes from which pods of others are not all reached',
      `count(weft_fabric_ready{${OF}} == 0) or vector(0)`,
      1,
    ),
    stat(
      'Policies not enforced',
      'Nodes on which policies do not hold',
      `count(weft_policy_ready{${OF}} == 0) or vector(0)`,
      1,
    ),
    stat(
      'Paths in trouble',
      'That answer nothing, or only to smaller packets',
      `sum(weft_fabric_paths{${OF},arrives!="full"}) or vector(0)`,
      1,
    ),
    stat(
      'Old objects',
      'Agents that have not reached the API server since their start',
      `count(max by (instance) (weft_kube_restored{${OF}}) == 1) or vector(0)`,
      1,
    ),
    {
      ...{
        title: 'What is not well',
        about: 'By node and check; weft doctor there has the cure',
        unit: 'short',
      },
      ...{ kind: 'table', width: 24 },
      queries: [{ expr: `weft_check_ok{${OF}} == 0`, legend: '' }],
    },
  ],
  Services: [
    {
      ...{ title: 'New connections', about: 'The 10 busiest Services', unit: 'cps' },
      queries: [
        {
          expr: `topk(10, ${rate('weft_service_connections_total', 'namespace, service')})`,
          legend: '{{namespace}}/{{service}}',
        },
      ],
    },
    {
      ...{
        title: 'Refused packets',
        about: 'No endpoint, none on this node, or a source that may not',
        unit: 'pps',
      },
      queries: [
        {
          expr: `topk(10, ${rate('weft_service_refused_packets_total', 'namespace, service, reason')})`,
          legend: '{{namespace}}/{{service}} {{reason}}',
        },
      ],
    },
    {
      ...{
        title: 'From a change to the rules',
        about: 'Of endpoints: the programming latency of kube-proxy',
        unit: 's',
      },
      queries: [
        {
          expr: quantile(0.5, 'kubeproxy_network_programming_duration_seconds', 'job'),
          legend: 'half',
        },
        {
          expr: quantile(0.99, 'kubeproxy_network_programming_duration_seconds', 'job'),
          legend: '99 of 100',
        },
      ],
    },
    {
      ...{ title: 'Syncs', about: 'And those that failed', unit: 'ops' },
      queries: [
        {
          expr: rate('kubeproxy_sync_proxy_rules_duration_seconds_count', 'instance'),
          legend: '{{instance}}',
        },
        {
          expr: rate('kubeproxy_sync_proxy_rules_nftables_sync_failures_total', 'instance'),
          legend: '{{instance}} failed',
        },
      ],
    },
    {
      ...{ title: 'Rules put right', about: 'Another program had changed them', unit: 'short' },
      queries: [
        {
          expr: `sum by (instance, table) (increase(weft_nftables_repairs_total{${OF}}[$__rate_interval]))`,
          legend: '{{instance}} {{table}}',
        },
        {
          expr: `sum by (instance) (increase(weft_audit_differences_total{${OF}}[$__rate_interval]))`,
          legend: '{{instance}} found by comparison',
        },
      ],
    },
    {
      ...{ title: 'Changes that wait', about: 'For the next sync', unit: 'short' },
      queries: [
        {
          expr: `sum by (instance) (kubeproxy_sync_proxy_rules_endpoint_changes_pending{${OF}} + kubeproxy_sync_proxy_rules_service_changes_pending{${OF}})`,
          legend: '{{instance}}',
        },
      ],
    },
  ],
  Pods: [
    {
      ...{ title: 'CNI requests', about: 'By verb', unit: 'reqps' },
      queries: [{ expr: rate('weft_cni_requests_total', 'verb'), legend: '{{verb}}' }],
    },
    {
      ...{ title: 'CNI errors', about: 'By code; 11 is: something is awaited', unit: 'reqps' },
      queries: [
        {
          expr: rate('weft_cni_requests_total', 'instance, code', ',code!="0"'),
          legend: '{{instance}} {{code}}',
        },
      ],
    },
    {
      ...{ title: 'Time of an ADD', about: 'Until the pod has its network', unit: 's' },
      queries: [
        {
          expr: quantile(0.5, 'weft_cni_request_duration_seconds', 'job', ',verb="ADD"'),
          legend: 'half',
        },
        {
          expr: quantile(0.99, 'weft_cni_request_duration_seconds', 'job', ',verb="ADD"'),
          legend: '99 of 100',
        },
      ],
    },
    {
      ...{
        title: 'Repaired and collected',
        about: 'What others removed, and what nobody needed any more',
        unit: 'short',
      },
      queries: [
        {
          expr: `sum by (instance, kind) (increase(weft_cni_repairs_total{${OF}}[$__rate_interval]))`,
          legend: '{{instance}} repaired {{kind}}',
        },
        {
          expr: `sum by (instance, kind) (increase(weft_cni_leaked_total{${OF}}[$__rate_interval]))`,
          legend: '{{instance}} collected {{kind}}',
        },
      ],
    },
  ],
  Fabric: [
    {
      ...{ title: 'Other nodes', about: 'By the way to their pods', unit: 'short' },
      queries: [{ expr: `sum by (path) (weft_fabric_peers{${OF}})`, legend: '{{path}}' }],
    },
    {
      ...{ title: 'Paths', about: 'By what arrives', unit: 'short' },
      queries: [{ expr: `sum by (arrives) (weft_fabric_paths{${OF}})`, legend: '{{arrives}}' }],
    },
    {
      ...{ title: 'MTU', about: 'What pods send, and the least that arrives', unit: 'bytes' },
      queries: [
        { expr: `min(weft_fabric_mtu_bytes{${OF}})`, legend: 'of pods' },
        { expr: `min(weft_fabric_smallest_path_mtu_bytes{${OF}} > 0)`, legend: 'arrives' },
      ],
    },
    {
      ...{ title: 'Dropped at the tunnel', about: 'By who sent it', unit: 'pps' },
      queries: [
        { expr: rate('weft_fabric_dropped_packets_total', 'source'), legend: '{{source}}' },
      ],
    },
  ],
  Policies: [
    {
      ...{ title: 'Connections', about: 'That policies judged', unit: 'cps' },
      queries: [{ expr: rate('weft_policy_connections_total', 'verdict'), legend: '{{verdict}}' }],
    },
    {
      ...{ title: 'Denied, by policy', about: 'The 10 that deny most', unit: 'cps' },
      queries: [
        {
          expr: `topk(10, ${rate('weft_policy_connections_total', 'policy, direction', ',verdict="denied"')})`,
          legend: '{{policy}} {{direction}}',
        },
      ],
    },
    {
      ...{ title: 'Starts that wait for policies', about: '99 of 100 wait less', unit: 's' },
      queries: [
        { expr: quantile(0.99, 'weft_policy_pod_wait_seconds', 'result'), legend: '{{result}}' },
      ],
    },
    {
      ...{ title: 'Elements', about: 'Of table inet weft-policy', unit: 'short' },
      queries: [{ expr: `weft_policy_elements{${OF}}`, legend: '{{instance}}' }],
    },
  ],
  Agent: [
    {
      ...{ title: 'Memory', about: 'Resident', unit: 'bytes' },
      queries: [{ expr: `process_resident_memory_bytes{${OF}}`, legend: '{{instance}}' }],
    },
    {
      ...{ title: 'CPU', about: 'Of one core', unit: 'percentunit' },
      queries: [
        {
          expr: `rate(process_cpu_seconds_total{${OF}}[$__rate_interval])`,
          legend: '{{instance}}',
        },
      ],
    },
    {
      ...{ title: 'API server', about: 'Requests by code', unit: 'reqps' },
      queries: [{ expr: rate('rest_client_requests_total', 'code'), legend: '{{code}}' }],
    },
    {
      ...{ title: 'Lists and watches that failed', about: 'By reason', unit: 'ops' },
      queries: [
        {
          expr: rate('weft_kube_errors_total', 'resource, reason'),
          legend: '{{resource}} {{reason}}',
        },
      ],
    },
  ],
};
