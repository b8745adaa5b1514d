import type { KeyPath } from './document.ts';

/** One kube-proxy flag and the configuration fields it sets. */
export interface FlagSpec {
  readonly name: string;
  readonly kind: 'text' | 'boolean' | 'number' | 'duration' | 'list' | 'gates';
  /** Empty for flags that are no configuration field. */
  readonly paths: readonly KeyPath[];
  readonly describe: string;
  /** What to use instead. */
  readonly deprecated?: string;
}

/** Flags of logging and of the process that configuration cannot change here. */
export const IGNORED_FLAGS: readonly string[] = [
  'alsologtostderr',
  'boot-id-file',
  'log-backtrace-at',
  'log-dir',
  'log-file',
  'log-file-max-size',
  'log-json-info-buffer-size',
  'log-json-split-stream',
  'log-text-info-buffer-size',
  'log-text-split-stream',
  'logtostderr',
  'machine-id-file',
  'one-output',
  'skip-headers',
  'skip-log-headers',
  'stderrthreshold',
];

/** Flags that count even beside --config. */
export const LOGGING_FLAGS: ReadonlySet<string> = new Set([
  'v',
  'vmodule',
  'logging-format',
  'log-flush-frequency',
]);

/** Every flag kube-proxy documents for Linux, in the order `--help` shows them. */
export const FLAGS: readonly FlagSpec[] = [
  flag('config', 'text', '', 'File with a KubeProxyConfiguration; other flags are then ignored'),
  flag('write-config-to', 'text', '', 'Write the effective configuration to this file and exit'),
  flag('cleanup', 'boolean', '', 'Remove what weft left in the kernel and exit'),
  flag('init-only', 'boolean', '', 'Do what needs full privileges (sysctls), then exit'),
  flag('master', 'text', '', 'API server URL; replaces the one in the kubeconfig'),
  flag('kubeconfig', 'text', 'clientConnection.kubeconfig', 'How to reach the API server'),
  flag('hostname-override', 'text', 'hostnameOverride', 'Name of this Node [default: hostname]'),
  flag(
    'proxy-mode',
    'text',
    'mode',
    'nftables, iptables, ipvs, userspace or auto [default: nftables]',
  ),
  flag('bind-address', 'text', 'bindAddress', "Overrides the Node's address [default: 0.0.0.0]"),
  flag('cluster-cidr', 'text', 'clusterCIDR', 'Pod CIDRs, at most one per family'),
  flag(
    'detect-local-mode',
    'text',
    'detectLocalMode',
    'ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix [default: ClusterCIDR]',
  ),
  flag(
    'pod-bridge-interface',
    'text',
    'detectLocal.bridgeInterface',
    'Bridge of the local pods (BridgeInterface)',
  ),
  flag(
    'pod-interface-name-prefix',
    'text',
    'detectLocal.interfaceNamePrefix',
    'Name prefix of pod interfaces (InterfaceNamePrefix)',
  ),
  flag('nodeport-addresses', 'list', 'nodePortAddresses', '"primary", or CIDRs for NodePorts'),
  flag(
    'masquerade-all',
    'boolean',
    'iptables.masqueradeAll nftables.masqueradeAll',
    'Masquerade everything sent to a ClusterIP',
  ),
  flag('iptables-masquerade-bit', 'number', 'iptables.masqueradeBit', 'Mark bit [default: 14]'),
  flag(
    'iptables-localhost-nodeports',
    'boolean',
    'iptables.localhostNodePorts',
    'NodePorts answer on 127.0.0.1, iptables only [default: true]',
  ),
  flag(
    'iptables-sync-period',
    'duration',
    'iptables.syncPeriod nftables.syncPeriod',
    'Retry and full check interval, iptables and nftables [default: 30s]',
  ),
  flag(
    'iptables-min-sync-period',
    'duration',
    'iptables.minSyncPeriod nftables.minSyncPeriod',
    'Quiet time between two syncs, iptables and nftables [default: 1s]',
  ),
  flag('ipvs-sync-period', 'duration', 'ipvs.syncPeriod', 'Full check interval [default: 30s]'),
  flag('ipvs-min-sync-period', 'duration', 'ipvs.minSyncPeriod', 'Quiet time between two syncs'),
  flag('ipvs-scheduler', 'text', 'ipvs.scheduler', 'IPVS scheduler [default: rr]'),
  flag('ipvs-exclude-cidrs', 'list', 'ipvs.excludeCIDRs', 'Virtual servers to leave alone'),
  flag('ipvs-strict-arp', 'boolean', 'ipvs.strictARP', 'Set arp_ignore 1 and arp_announce 2'),
  flag('ipvs-tcp-timeout', 'duration', 'ipvs.tcpTimeout', 'Idle TCP timeout; 0 leaves it'),
  flag('ipvs-tcpfin-timeout', 'duration', 'ipvs.tcpFinTimeout', 'After FIN; 0 leaves it'),
  flag('ipvs-udp-timeout', 'duration', 'ipvs.udpTimeout', 'Idle UDP timeout; 0 leaves it'),
  flag(
    'conntrack-max-per-core',
    'number',
    'conntrack.maxPerCore',
    'Conntrack entries per core [default: 32768]',
  ),
  flag('conntrack-min', 'number', 'conntrack.min', 'Conntrack entries at least [default: 131072]'),
  flag(
    'conntrack-tcp-timeout-established',
    'duration',
    'conntrack.tcpEstablishedTimeout',
    'Idle TCP timeout [default: 24h]',
  ),
  flag(
    'conntrack-tcp-timeout-close-wait',
    'duration',
    'conntrack.tcpCloseWaitTimeout',
    'CLOSE_WAIT timeout [default: 1h]',
  ),
  flag('conntrack-tcp-be-liberal', 'boolean', 'conntrack.tcpBeLiberal', 'Accept odd windows'),
  flag('conntrack-udp-timeout', 'duration', 'conntrack.udpTimeout', 'Unanswered UDP; 0 leaves it'),
  flag(
    'conntrack-udp-timeout-stream',
    'duration',
    'conntrack.udpStreamTimeout',
    'Assured UDP; 0 leaves it',
  ),
  flag('config-sync-period', 'duration', 'configSyncPeriod', 'Accepted; watches need no refresh'),
  flag('healthz-bind-address', 'text', 'healthzBindAddress', '"" turns /healthz and /livez off'),
  flag('metrics-bind-address', 'text', 'metricsBindAddress', '"" turns /metrics off'),
  { ...flag('healthz-port', 'number', '', '0 turns it off'), deprecated: '--healthz-bind-address' },
  { ...flag('metrics-port', 'number', '', '0 turns it off'), deprecated: '--metrics-bind-address' },
  flag('bind-address-hard-fail', 'boolean', 'bindAddressHardFail', 'Exit when a port is taken'),
  flag('profiling', 'boolean', 'enableProfiling', 'Profiling on the metrics server'),
  flag('show-hidden-metrics-for-version', 'text', 'showHiddenMetricsForVersion', 'Accepted'),
  flag('kube-api-content-type', 'text', 'clientConnection.contentType', 'Accepted; JSON is used'),
  flag('kube-api-qps', 'number', 'clientConnection.qps', 'Requests per second to the API server'),
  flag('kube-api-burst', 'number', 'clientConnection.burst', 'Requests in one burst'),
  flag('oom-score-adj', 'number', 'oomScoreAdj', 'oom_score_adj of the process [default: -999]'),
  flag('feature-gates', 'gates', 'featureGates', 'Gate=true|false, separated by commas'),
  flag('logging-format', 'text', 'logging.format', 'Accepted; logs are always JSON'),
  flag(
    'log-flush-frequency',
    'duration',
    'logging.flushFrequency',
    'Accepted; logs are synchronous',
  ),
  flag('vmodule', 'text', '', 'Accepted and ignored'),
  flag('v', 'number', 'logging.verbosity', 'Log level: 4 debug, 6 trace'),
];

/** `paths`: dotted fields separated by spaces. */
function flag(name: string, kind: FlagSpec['kind'], paths: string, describe: string): FlagSpec {
  const fields = paths.split(' ').filter((field) => field !== '');
  return { name, kind, describe, paths: fields.map((field) => field.split('.')) };
}
