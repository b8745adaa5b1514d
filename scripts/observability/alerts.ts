/** What of an agent's metrics somebody is to be told of, as Prometheus rules. */
import { stringify } from 'yaml';

interface Alert {
  readonly name: string;
  readonly expr: string;
  /** How long it has to be so. */
  readonly for: string;
  readonly severity: 'critical' | 'warning' | 'info';
  readonly summary: string;
  /** What it does, and where to look. */
  readonly description: string;
}

/** The last minutes of a counter: a restart of the agent is no increase. */
const ALERTS: Readonly<Record<string, readonly Alert[]>> = {
  'weft-agent': [
    {
      ...{ name: 'WeftAgentDown', expr: 'up{job="weft"} == 0', for: '5m', severity: 'critical' },
      summary: 'The agent of {{ $labels.instance }} is not scraped',
      description:
        'Rules in the kernel go on serving what they know; pods start by the standalone plugin, Services do not follow. kubectl -n weft get pods -o wide, journalctl -u weft.',
    },
    {
      ...{ name: 'WeftCheckFailing', expr: 'weft_check_ok == 0', for: '10m', severity: 'warning' },
      summary: 'Check {{ $labels.check }} of {{ $labels.instance }} is not well',
      description: 'weft doctor on that node says what was seen, why it matters and what cures it.',
    },
    {
      name: 'WeftApiServerErrors',
      expr: 'sum by (instance, reason) (increase(weft_kube_errors_total[10m])) > 20',
      ...{ for: '10m', severity: 'warning' },
      summary: '{{ $labels.instance }} cannot read the API server: {{ $labels.reason }}',
      description:
        'What was known is served meanwhile. weft status names the server and the reason.',
    },
    {
      name: 'WeftServesOldObjects',
      expr: 'max by (instance) (weft_kube_restored) == 1',
      ...{ for: '15m', severity: 'warning' },
      summary: '{{ $labels.instance }} serves what it knew before its last start',
      description:
        'The API server was not reached since the agent started: Services may have changed.',
    },
    {
      name: 'WeftConfigurationInvalid',
      expr: 'increase(weft_config_reload_total{result="invalid"}[15m]) > 0',
      ...{ for: '0m', severity: 'warning' },
      summary: 'The configuration file of {{ $labels.instance }} was changed and is not valid',
      description: 'The agent goes on with the settings before; its log names line and key.',
    },
  ],
  'weft-services': [
    {
      name: 'WeftServicesNotSynced',
      expr: 'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds - kubeproxy_sync_proxy_rules_last_timestamp_seconds > 60',
      ...{ for: '2m', severity: 'critical' },
      summary: 'Changes of Services wait on {{ $labels.instance }} ({{ $labels.ip_family }})',
      description: 'The kernel has old rules. weft status says why the last sync failed.',
    },
    {
      name: 'WeftServicesSlow',
      expr: 'histogram_quantile(0.99, sum by (instance, le) (rate(kubeproxy_network_programming_duration_seconds_bucket[15m]))) > 30',
      ...{ for: '15m', severity: 'warning' },
      summary: 'Endpoints take more than 30 s to be served on {{ $labels.instance }}',
      description:
        'From the change of an EndpointSlice to the rules: the API server, the node, or both are slow.',
    },
    {
      name: 'WeftServiceRefuses',
      expr: 'sum by (instance, namespace, service, reason) (rate(weft_service_refused_packets_total[5m])) > 0.5',
      ...{ for: '10m', severity: 'info' },
      summary:
        '{{ $labels.namespace }}/{{ $labels.service }} refuses packets on {{ $labels.instance }}: {{ $labels.reason }}',
      description:
        'Clients are sent away: weft services {{ $labels.namespace }}/{{ $labels.service }} tells the endpoints and why each is left out.',
    },
    {
      name: 'WeftRulesChangedByOthers',
      expr: 'sum by (instance, table) (increase(weft_nftables_repairs_total[1h])) > 5',
      ...{ for: '0m', severity: 'warning' },
      summary: 'Another program changes rules of weft on {{ $labels.instance }}',
      description:
        'They are put right each time. weft status and an Event of the Node name the program.',
    },
  ],
  'weft-pods': [
    {
      name: 'WeftPodsFailToStart',
      expr: 'sum by (instance, code) (increase(weft_cni_requests_total{verb="ADD",code!="0"}[10m])) > 5',
      ...{ for: '5m', severity: 'warning' },
      summary: 'Pods of {{ $labels.instance }} fail to start: CNI error {{ $labels.code }}',
      description:
        'Events of the pods have the words; 11 means that something is awaited (weft status).',
    },
    {
      name: 'WeftPodsStartSlowly',
      expr: 'histogram_quantile(0.99, sum by (instance, le) (rate(weft_cni_request_duration_seconds_bucket{verb="ADD"}[10m]))) > 2',
      ...{ for: '10m', severity: 'warning' },
      summary: 'Networks of pods take more than 2 s on {{ $labels.instance }}',
      description: 'The node is overloaded, or policies are late (weft_policy_pod_wait_seconds).',
    },
    {
      name: 'WeftPodsMeddledWith',
      expr: 'sum by (instance, kind) (increase(weft_cni_repairs_total[1h])) > 20',
      ...{ for: '0m', severity: 'warning' },
      summary:
        'Another program takes away what pods of {{ $labels.instance }} need: {{ $labels.kind }}',
      description: 'It is put right each time; the log names what. Two CNI plugins on one node?',
    },
  ],
  'weft-fabric': [
    {
      ...{
        name: 'WeftFabricNotReady',
        expr: 'weft_fabric_ready == 0',
        for: '5m',
        severity: 'critical',
      },
      summary: 'Pods of other nodes are not all reached from {{ $labels.instance }}',
      description: 'weft status and weft nodes say which, and why.',
    },
    {
      name: 'WeftPathSilent',
      expr: 'weft_fabric_paths{arrives="nothing"} > 0',
      ...{ for: '10m', severity: 'warning' },
      summary: '{{ $value }} paths from {{ $labels.instance }} answer nothing',
      description:
        'A firewall between, or a node that is down: weft nodes names them. UDP 8472 and 8473 must pass.',
    },
    {
      name: 'WeftPathTooSmall',
      expr: 'weft_fabric_paths{arrives="smaller"} > 0',
      ...{ for: '10m', severity: 'warning' },
      summary:
        'Packets of the size of pods do not arrive on {{ $value }} paths from {{ $labels.instance }}',
      description:
        'Large answers hang. Raise the MTU of the links between, or set fabric.mtu; weft nodes tells what arrives.',
    },
    {
      name: 'WeftBgpSessionDown',
      expr: 'weft_bgp_session_established == 0',
      ...{ for: '5m', severity: 'warning' },
      summary: 'BGP with {{ $labels.neighbour }} is not established on {{ $labels.instance }}',
      description:
        'What this node announces does not reach that neighbour. weft bgp tells the state and the last error.',
    },
    {
      name: 'WeftAddressPoolNearlyUsed',
      expr: 'max by (pool) (weft_address_pool_used / weft_address_pool_addresses) > 0.9',
      ...{ for: '15m', severity: 'warning' },
      summary: 'More than 90 % of the addresses of pool {{ $labels.pool }} are in use',
      description:
        'Services of type LoadBalancer will get none. Enlarge the pool or add one; weft bgp tells who holds addresses.',
    },
  ],
  'weft-policy': [
    {
      ...{
        name: 'WeftPoliciesNotEnforced',
        expr: 'weft_policy_ready == 0',
        for: '5m',
        severity: 'critical',
      },
      summary: 'Policies do not hold on {{ $labels.instance }}',
      description: 'weft status says why; pods that start wait for theirs.',
    },
    {
      name: 'WeftPodsWaitForPolicies',
      expr: 'increase(weft_policy_pod_wait_seconds_count{result="late"}[15m]) > 0',
      ...{ for: '0m', severity: 'warning' },
      summary: 'Starts of pods on {{ $labels.instance }} waited in vain for their policies',
      description: 'The API server is slow or away; the runtime tries again.',
    },
  ],
};

/** Groups as Prometheus reads them. */
function groups(): object[] {
  return Object.entries(ALERTS).map(([name, alerts]) => ({
    name,
    rules: alerts.map(({ name: alert, expr, for: duration, severity, summary, description }) => ({
      ...{ alert, expr, ...(duration === '0m' ? {} : { for: duration }) },
      labels: { severity },
      annotations: { summary, description },
    })),
  }));
}

const HEAD = '# Made by `make reference-pages` of scripts/observability/alerts.ts.\n';
const OPTIONS = { lineWidth: 0 };

/** For `rule_files` of a Prometheus, whose scrape job of the agents is called weft. */
export function alertsText(): string {
  return HEAD + stringify({ groups: groups() }, OPTIONS);
}

/** The same as an object of the Prometheus operator. */
export function prometheusRuleText(): string {
  const rule = {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: 'weft', namespace: 'weft', labels: { 'app.kubernetes.io/name': 'weft' } },
    spec: { groups: groups() },
  };
  return HEAD + stringify(rule, OPTIONS);
}

/** For tests: each expression by the name of its alert. */
export function alertExpressions(): ReadonlyMap<string, string> {
  return new Map(Object.values(ALERTS).flatMap((all) => all.map(({ name, expr }) => [name, expr])));
}
