import { boolean, duration, gates, integer, list, number, optional, text } from './setting.ts';

const LIVE = { isLive: true } as const;
const IGNORED = { isIgnored: true } as const;
const isIPv6 = ({ bindAddress }: Readonly<Record<string, unknown>>) =>
  String(bindAddress ?? '').includes(':');

const MASQUERADE_ALL = {
  flag: 'masquerade-all',
  flagText: 'Masquerade everything sent to a ClusterIP',
  ...LIVE,
} as const;
const SYNC = {
  ...{ flag: 'iptables-sync-period', isEmptyAbsent: true, min: 1 },
  flagText: 'Retry and full check interval, all modes but ipvs',
  ...LIVE,
} as const;
const MIN_SYNC = {
  ...{ flag: 'iptables-min-sync-period', isEmptyAbsent: true },
  flagText: 'Quiet time between two syncs, all modes but ipvs',
  ...LIVE,
} as const;
const MASQUERADE_TEXT = 'Masquerade everything sent to a ClusterIP';
const SYNC_TEXT = 'Retry and full check interval';
const MIN_SYNC_TEXT = 'Quiet time between two syncs';
// resolveProxySettings chooses the section; an empty mode runs as nftables, and is not that word.
const UNLESS_NFTABLES = ', unless "mode: nftables" is written';
const WITH_NFTABLES = ', where "mode: nftables" is written';
const EMPTY_IN_A_FILE = '; not beside "kind: KubeProxyConfiguration", where it is the default';
const UNLESS_EITHER = ', unless "mode: nftables" or "mode: ipvs" is written';
const BIT = { min: 0, max: 31 } as const;

/** KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1): its fields, defaults and flags. */
export const KUBE_PROXY_SETTINGS = {
  featureGates: gates({}, 'Gate=true|false, separated by commas', { flag: 'feature-gates' }),
  clientConnection: {
    kubeconfig: text('', 'How to reach the API server', { flag: 'kubeconfig' }),
    acceptContentTypes: text('', 'Accepted; JSON is used'),
    contentType: text('application/vnd.kubernetes.protobuf', 'Accepted; JSON is used', {
      flag: 'kube-api-content-type',
      isEmptyAbsent: true,
      shown: '',
    }),
    qps: number(5, 'Requests per second to the API server', {
      flag: 'kube-api-qps',
      isEmptyAbsent: true,
    }),
    burst: integer(10, 'Requests in one burst', {
      flag: 'kube-api-burst',
      isEmptyAbsent: true,
      min: 0,
    }),
  },
  logging: {
    format: text('text', 'Accepted; logFormat (--log-format) counts', {
      flag: 'logging-format',
      shown: '',
      ...LIVE,
    }),
    flushFrequency: {
      ...duration('5s', 'Accepted; logs are synchronous', {
        flag: 'log-flush-frequency',
        shown: '',
        ...LIVE,
      }),
      schema: { type: ['string', 'integer'], format: undefined },
    },
    verbosity: integer(0, 'Log level: 4 debug, 6 trace', {
      flag: 'v',
      schema: { minimum: 0 },
      ...LIVE,
    }),
    vmodule: optional('other', 'Accepted', { schema: { type: 'array' }, ...LIVE }),
    options: optional('other', 'Accepted', { schema: { type: 'object' }, ...LIVE }),
  },
  hostnameOverride: text('', 'Name of this Node', {
    flag: 'hostname-override',
    shown: 'lower-cased hostname',
  }),
  bindAddress: text('0.0.0.0', "Overrides the Node's address", {
    flag: 'bind-address',
    isEmptyAbsent: true,
    ...LIVE,
  }),
  healthzBindAddress: text(
    (root) => (isIPv6(root) ? '[::]:10256' : '0.0.0.0:10256'),
    `"" turns /healthz, /livez and /readyz off${EMPTY_IN_A_FILE}`,
    {
      flag: 'healthz-bind-address',
      flagText: '"" turns /healthz, /livez and /readyz off',
      shown: '0.0.0.0:10256, with an IPv6 bindAddress [::]:10256',
    },
  ),
  metricsBindAddress: text(
    (root) => (isIPv6(root) ? '[::1]:10249' : '127.0.0.1:10249'),
    `"" turns /metrics off${EMPTY_IN_A_FILE}`,
    {
      flag: 'metrics-bind-address',
      flagText: '"" turns /metrics off',
      shown: '127.0.0.1:10249, with an IPv6 bindAddress [::1]:10249',
    },
  ),
  bindAddressHardFail: boolean(false, 'Exit when a port is taken', {
    flag: 'bind-address-hard-fail',
  }),
  enableProfiling: boolean(false, 'Profiling on the metrics server', { flag: 'profiling' }),
  showHiddenMetricsForVersion: text('', 'Accepted', { flag: 'show-hidden-metrics-for-version' }),
  mode: text('', 'nftables, iptables, ipvs, userspace or auto', {
    flag: 'proxy-mode',
    shown: 'nftables',
  }),
  iptables: {
    masqueradeBit: integer(14, 'Mark bit of modes iptables and ipvs', {
      flag: 'iptables-masquerade-bit',
      ...BIT,
    }),
    masqueradeAll: boolean(false, MASQUERADE_TEXT + UNLESS_NFTABLES, MASQUERADE_ALL),
    localhostNodePorts: boolean(true, 'NodePorts answer on 127.0.0.1, iptables only', {
      flag: 'iptables-localhost-nodeports',
    }),
    syncPeriod: duration('30s', SYNC_TEXT + UNLESS_EITHER, SYNC),
    minSyncPeriod: duration('1s', MIN_SYNC_TEXT + UNLESS_EITHER, MIN_SYNC),
  },
  ipvs: {
    syncPeriod: duration('30s', 'Full check interval', {
      ...{ flag: 'ipvs-sync-period', isEmptyAbsent: true, min: 1 },
      ...LIVE,
    }),
    minSyncPeriod: duration('0s', 'Quiet time between two syncs', {
      flag: 'ipvs-min-sync-period',
      ...LIVE,
    }),
    scheduler: text('', 'IPVS scheduler', { flag: 'ipvs-scheduler', shown: 'rr' }),
    excludeCIDRs: list([], 'Virtual servers to leave alone', { flag: 'ipvs-exclude-cidrs' }),
    strictARP: boolean(false, 'Set arp_ignore 1 and arp_announce 2', { flag: 'ipvs-strict-arp' }),
    tcpTimeout: duration('0s', 'Idle TCP timeout; 0 leaves it', { flag: 'ipvs-tcp-timeout' }),
    tcpFinTimeout: duration('0s', 'After FIN; 0 leaves it', { flag: 'ipvs-tcpfin-timeout' }),
    udpTimeout: duration('0s', 'Idle UDP timeout; 0 leaves it', { flag: 'ipvs-udp-timeout' }),
  },
  nftables: {
    masqueradeBit: integer(14, 'Accepted; no mark is needed', BIT),
    masqueradeAll: boolean(false, MASQUERADE_TEXT + WITH_NFTABLES, MASQUERADE_ALL),
    syncPeriod: duration('30s', SYNC_TEXT + WITH_NFTABLES, SYNC),
    minSyncPeriod: duration('1s', MIN_SYNC_TEXT + WITH_NFTABLES, MIN_SYNC),
  },
  winkernel: {
    networkName: optional('text', 'For Windows', IGNORED),
    sourceVip: optional('text', 'For Windows', IGNORED),
    enableDSR: optional('boolean', 'For Windows', IGNORED),
    rootHnsEndpointName: optional('text', 'For Windows', IGNORED),
    forwardHealthCheckVip: optional('boolean', 'For Windows', IGNORED),
  },
  detectLocalMode: text('', 'ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix', {
    flag: 'detect-local-mode',
    shown: 'ClusterCIDR',
    ...LIVE,
  }),
  detectLocal: {
    bridgeInterface: text('', 'Bridge of the local pods (BridgeInterface)', {
      flag: 'pod-bridge-interface',
      ...LIVE,
    }),
    interfaceNamePrefix: text('', 'Name prefix of pod interfaces (InterfaceNamePrefix)', {
      flag: 'pod-interface-name-prefix',
      ...LIVE,
    }),
  },
  clusterCIDR: text('', 'Pod CIDRs, at most one per family', { flag: 'cluster-cidr', ...LIVE }),
  nodePortAddresses: optional<readonly string[]>('list', '"primary", or CIDRs for NodePorts', {
    flag: 'nodeport-addresses',
    shown: 'primary where "mode: nftables" is written, else all of the node',
    ...LIVE,
  }),
  oomScoreAdj: integer(-999, 'oom_score_adj of the process', {
    ...{ flag: 'oom-score-adj', min: -1000, max: 1000 },
    ...LIVE,
  }),
  conntrack: {
    maxPerCore: integer(32_768, 'Conntrack entries per core', {
      ...{ flag: 'conntrack-max-per-core', min: 0 },
      ...LIVE,
    }),
    min: integer(131_072, 'Conntrack entries at least', {
      ...{ flag: 'conntrack-min', min: 0 },
      ...LIVE,
    }),
    tcpEstablishedTimeout: duration('24h0m0s', 'Idle TCP timeout', {
      flag: 'conntrack-tcp-timeout-established',
      ...LIVE,
    }),
    tcpCloseWaitTimeout: duration('1h0m0s', 'CLOSE_WAIT timeout', {
      flag: 'conntrack-tcp-timeout-close-wait',
      ...LIVE,
    }),
    tcpBeLiberal: boolean(false, 'Accept odd windows', {
      flag: 'conntrack-tcp-be-liberal',
      ...LIVE,
    }),
    udpTimeout: duration('0s', 'Unanswered UDP; 0 leaves it', {
      flag: 'conntrack-udp-timeout',
      ...LIVE,
    }),
    udpStreamTimeout: duration('0s', 'Assured UDP; 0 leaves it', {
      flag: 'conntrack-udp-timeout-stream',
      ...LIVE,
    }),
  },
  configSyncPeriod: duration('15m0s', 'Accepted; watches need no refresh', {
    ...{ flag: 'config-sync-period', isEmptyAbsent: true, min: 1, shown: '' },
    ...LIVE,
  }),
  portRange: optional('text', 'Accepted', IGNORED),
  windowsRunAsService: optional('boolean', 'For Windows', IGNORED),
} as const;
