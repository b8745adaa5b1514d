/**
 * KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1) as a value: the fields of the file with
 * the file's names, durations as Go strings, every default filled in. proxy-settings.ts turns it
 * into what the proxy works with.
 */
import { stringify } from 'yaml';
import { ConfigError } from '../../util/errors.ts';
import { type ConfigDocument, type Origin, parseConfigDocument } from './document.ts';
import { parseGoDuration } from './go-duration.ts';
import schema from './kube-proxy-config.schema.json' with { type: 'json' };
import { createSchemaCheck } from './schema-check.ts';

const API_VERSION = 'kubeproxy.config.k8s.io/v1alpha1';
const KIND = 'KubeProxyConfiguration';

export interface ClientConnection {
  readonly kubeconfig: string;
  readonly acceptContentTypes: string;
  readonly contentType: string;
  readonly qps: number;
  readonly burst: number;
}

/** What the iptables and nftables sections share; the mark is `1 << masqueradeBit`. */
export interface NetfilterSection {
  readonly masqueradeBit: number;
  readonly masqueradeAll: boolean;
  readonly syncPeriod: string;
  readonly minSyncPeriod: string;
}

export interface IptablesSection extends NetfilterSection {
  readonly localhostNodePorts: boolean;
}

export interface IpvsSection {
  readonly syncPeriod: string;
  readonly minSyncPeriod: string;
  readonly scheduler: string;
  readonly excludeCIDRs: readonly string[];
  readonly strictARP: boolean;
  readonly tcpTimeout: string;
  readonly tcpFinTimeout: string;
  readonly udpTimeout: string;
}

/** 0 leaves the kernel's value as it is. */
export interface ConntrackSection {
  readonly maxPerCore: number;
  readonly min: number;
  readonly tcpEstablishedTimeout: string;
  readonly tcpCloseWaitTimeout: string;
  readonly tcpBeLiberal: boolean;
  readonly udpTimeout: string;
  readonly udpStreamTimeout: string;
}

export interface LoggingSection {
  readonly format: string;
  readonly flushFrequency: string | number;
  readonly verbosity: number;
}

export interface KubeProxyConfiguration {
  readonly apiVersion: string;
  readonly kind: string;
  readonly featureGates: Readonly<Record<string, boolean>>;
  readonly clientConnection: ClientConnection;
  readonly logging: LoggingSection;
  readonly hostnameOverride: string;
  readonly bindAddress: string;
  /** Empty only through a flag: the server is off. */
  readonly healthzBindAddress: string;
  readonly metricsBindAddress: string;
  readonly bindAddressHardFail: boolean;
  readonly enableProfiling: boolean;
  readonly showHiddenMetricsForVersion: string;
  readonly mode: string;
  readonly iptables: IptablesSection;
  readonly ipvs: IpvsSection;
  readonly nftables: NetfilterSection;
  readonly detectLocalMode: string;
  readonly detectLocal: { readonly bridgeInterface: string; readonly interfaceNamePrefix: string };
  readonly clusterCIDR: string;
  /** Absent: the mode decides. Empty list: every local address. */
  readonly nodePortAddresses?: readonly string[];
  readonly oomScoreAdj: number;
  readonly conntrack: ConntrackSection;
  readonly configSyncPeriod: string;
}

/** The same tree as a user writes it: any part may be missing. */
export type Sparse<T> = {
  readonly [K in keyof T]?: T[K] extends readonly unknown[] | undefined
    ? T[K]
    : T[K] extends object
      ? Sparse<T[K]>
      : T[K];
};

export interface ParsedKubeProxyConfig {
  readonly config: KubeProxyConfiguration;
  readonly origin: Origin;
  /** Unknown and duplicate fields: accepted, as kube-proxy's lenient decoder does. */
  readonly warnings: readonly string[];
}

const findDeviations = createSchemaCheck(schema);

/**
 * Parses a kube-proxy configuration file. Unknown and duplicate fields become warnings; a value
 * of the wrong type, or another apiVersion or kind, throws ConfigError naming file, line and key.
 */
export function parseKubeProxyConfig(text: string, file: string): ParsedKubeProxyConfig {
  const document = parseConfigDocument(text, file);
  requireKind(document, file);
  const deviations = findDeviations(document.value);
  const wrong = deviations.find((deviation) => deviation.kind === 'wrongValue');
  if (wrong !== undefined) {
    throw new ConfigError(wrong.path.join('.'), `${document.origin(wrong.path)}: ${wrong.reason}`);
  }
  const warnings = [
    ...deviations.map((deviation) => `${document.origin(deviation.path)}: ${deviation.reason}`),
    ...document.duplicates.map(
      (path) => `${document.origin(path)}: duplicate key, the last counts`,
    ),
  ];
  // The schema check above has found every field to be of its type.
  const sparse = document.value as Sparse<KubeProxyConfiguration>;
  return { config: fillDefaults(sparse), origin: document.origin, warnings };
}

/** The configuration as a YAML file that parseKubeProxyConfig reads back to an equal value. */
export function renderKubeProxyConfig(config: KubeProxyConfiguration): string {
  return stringify(config);
}

/**
 * Fills every field left out with kube-proxy's default. As there (defaults.go), zero durations of
 * the sync periods and empty addresses count as left out.
 */
export function fillDefaults(sparse: Sparse<KubeProxyConfiguration>): KubeProxyConfiguration {
  const bindAddress = sparse.bindAddress || '0.0.0.0';
  const isIPv6 = bindAddress.includes(':');
  const { nodePortAddresses } = sparse;
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    featureGates: definedGates(sparse.featureGates),
    clientConnection: fillClientConnection(sparse.clientConnection ?? {}),
    logging: { format: 'text', flushFrequency: '5s', verbosity: 0, ...sparse.logging },
    hostnameOverride: sparse.hostnameOverride ?? '',
    bindAddress,
    healthzBindAddress: sparse.healthzBindAddress || (isIPv6 ? '[::]:10256' : '0.0.0.0:10256'),
    metricsBindAddress: sparse.metricsBindAddress || (isIPv6 ? '[::1]:10249' : '127.0.0.1:10249'),
    bindAddressHardFail: sparse.bindAddressHardFail ?? false,
    enableProfiling: sparse.enableProfiling ?? false,
    showHiddenMetricsForVersion: sparse.showHiddenMetricsForVersion ?? '',
    mode: sparse.mode ?? '',
    iptables: {
      ...fillNetfilter(sparse.iptables ?? {}),
      localhostNodePorts: sparse.iptables?.localhostNodePorts ?? true,
    },
    ipvs: fillIpvs(sparse.ipvs ?? {}),
    nftables: fillNetfilter(sparse.nftables ?? {}),
    detectLocalMode: sparse.detectLocalMode ?? '',
    detectLocal: { bridgeInterface: '', interfaceNamePrefix: '', ...sparse.detectLocal },
    clusterCIDR: sparse.clusterCIDR ?? '',
    ...(nodePortAddresses === undefined ? {} : { nodePortAddresses }),
    oomScoreAdj: sparse.oomScoreAdj ?? -999,
    conntrack: fillConntrack(sparse.conntrack ?? {}),
    configSyncPeriod: nonZero(sparse.configSyncPeriod, '15m0s'),
  };
}

function requireKind(document: ConfigDocument, file: string): void {
  const root = typeof document.value === 'object' && document.value !== null ? document.value : {};
  const apiVersion = 'apiVersion' in root ? root.apiVersion : undefined;
  const kind = 'kind' in root ? root.kind : undefined;
  if (apiVersion !== API_VERSION) {
    const found = JSON.stringify(apiVersion) ?? 'nothing';
    throw new ConfigError(
      'apiVersion',
      `${file}: apiVersion: expected ${API_VERSION}, found ${found}`,
    );
  }
  if (kind !== KIND) {
    const found = JSON.stringify(kind) ?? 'nothing';
    throw new ConfigError('kind', `${file}: kind: expected ${KIND}, found ${found}`);
  }
}

function fillClientConnection(sparse: Sparse<ClientConnection>): ClientConnection {
  return {
    kubeconfig: sparse.kubeconfig ?? '',
    acceptContentTypes: sparse.acceptContentTypes ?? '',
    contentType: sparse.contentType || 'application/vnd.kubernetes.protobuf',
    qps: sparse.qps || 5,
    burst: sparse.burst || 10,
  };
}

function fillNetfilter(sparse: Sparse<NetfilterSection>): NetfilterSection {
  return {
    masqueradeBit: sparse.masqueradeBit ?? 14,
    masqueradeAll: sparse.masqueradeAll ?? false,
    syncPeriod: nonZero(sparse.syncPeriod, '30s'),
    minSyncPeriod: nonZero(sparse.minSyncPeriod, '1s'),
  };
}

function fillIpvs(sparse: Sparse<IpvsSection>): IpvsSection {
  return {
    syncPeriod: nonZero(sparse.syncPeriod, '30s'),
    minSyncPeriod: sparse.minSyncPeriod ?? '0s',
    scheduler: sparse.scheduler ?? '',
    excludeCIDRs: sparse.excludeCIDRs ?? [],
    strictARP: sparse.strictARP ?? false,
    tcpTimeout: sparse.tcpTimeout ?? '0s',
    tcpFinTimeout: sparse.tcpFinTimeout ?? '0s',
    udpTimeout: sparse.udpTimeout ?? '0s',
  };
}

function fillConntrack(sparse: Sparse<ConntrackSection>): ConntrackSection {
  return {
    maxPerCore: sparse.maxPerCore ?? 32768,
    min: sparse.min ?? 131072,
    tcpEstablishedTimeout: sparse.tcpEstablishedTimeout ?? '24h0m0s',
    tcpCloseWaitTimeout: sparse.tcpCloseWaitTimeout ?? '1h0m0s',
    tcpBeLiberal: sparse.tcpBeLiberal ?? false,
    udpTimeout: sparse.udpTimeout ?? '0s',
    udpStreamTimeout: sparse.udpStreamTimeout ?? '0s',
  };
}

function definedGates(
  sparse: Readonly<Record<string, boolean | undefined>> | undefined,
): Readonly<Record<string, boolean>> {
  return Object.fromEntries(
    Object.entries(sparse ?? {}).flatMap(([gate, isOn]) =>
      isOn === undefined ? [] : [[gate, isOn]],
    ),
  );
}

function nonZero(duration: string | undefined, otherwise: string): string {
  return duration === undefined || parseGoDuration(duration) === 0 ? otherwise : duration;
}
