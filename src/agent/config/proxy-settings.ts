/** What the Service proxy works with: KubeProxyConfiguration parsed, checked and resolved per mode. */

import type { Cidr } from '../../net/cidr.ts';
import { type HostPort, parseHostPort } from '../../net/host-port.ts';
import type { IP } from '../../net/ip.ts';
import type { IpvsSettings, ModeSettings } from '../../proxy/modes/mode.ts';
import { MODES, type ModeName } from '../../proxy/modes/names.ts';
import type { LocalDetection, NodePortAddresses } from '../../proxy/node-addresses.ts';
import type { Origin } from './document.ts';
import { parseGoDuration } from './go-duration.ts';
import type { KubeProxyConfiguration } from './kube-proxy-config.ts';
import { KUBE_PROXY_SETTINGS } from './kube-proxy-settings.ts';
import { SettingsReader } from './settings-reader.ts';

/** `auto`: the first that this node can do. */
export type ProxyMode = ModeName | 'auto';

/** 0 leaves the kernel's value as it is. */
export interface ConntrackSettings {
  readonly maxPerCore: number;
  readonly min: number;
  readonly tcpEstablishedTimeoutMs: number;
  readonly tcpCloseWaitTimeoutMs: number;
  readonly isTcpLiberal: boolean;
  readonly udpTimeoutMs: number;
  readonly udpStreamTimeoutMs: number;
}

export interface ProxySettings extends Omit<ModeSettings, 'iptablesVariant' | 'endpointMetrics'> {
  readonly mode: ProxyMode;
  /** What the configuration says, possibly empty: it decides which defaults apply. */
  readonly configuredMode: ProxyMode | '';
  /** Overrides the node's address; the unspecified address means it does not. */
  readonly bindAddress: IP | undefined;
  /** Undefined: no server. */
  readonly healthzBindAddress: HostPort | undefined;
  readonly metricsBindAddress: HostPort | undefined;
  readonly bindAddressHardFail: boolean;
  readonly hasProfiling: boolean;
  readonly masqueradeAll: boolean;
  readonly syncPeriodMs: number;
  readonly minSyncPeriodMs: number;
  readonly configSyncPeriodMs: number;
  /** At most one of each family. */
  readonly clusterCIDRs: readonly Cidr[];
  /** Undefined: ClusterCIDR without a clusterCIDR, so nothing tells local traffic from other. */
  readonly localDetection: LocalDetection | undefined;
  readonly oomScoreAdj: number;
  readonly conntrack: ConntrackSettings;
  readonly featureGates: ReadonlyMap<string, boolean>;
}

/**
 * The mode an empty `mode` stands for. kube-proxy's is iptables; programs written against it see
 * no difference, because an empty mode keeps the iptables section and its NodePort addresses.
 */
const DEFAULT_MODE: ProxyMode = 'nftables';

/**
 * Checks every field (kube-proxy validation.go) and resolves those that depend on the mode: the
 * section of the configured mode gives the periods (an empty mode reads `iptables`); masqueradeAll
 * comes from `nftables` in that mode, else from `iptables`. Throws one ConfigError that lists
 * every wrong field, each named by `origin`.
 */
export function resolveProxySettings(
  config: KubeProxyConfiguration,
  origin: Origin,
): ProxySettings {
  const reader = new SettingsReader(origin);
  const configuredMode = readMode(reader, config.mode);
  const section = configuredMode === 'nftables' ? 'nftables' : 'iptables';
  const clusterCIDRs = readClusterCIDRs(reader, config.clusterCIDR);
  const settings: ProxySettings = {
    mode: configuredMode === '' ? DEFAULT_MODE : configuredMode,
    configuredMode,
    bindAddress: readNodeAddress(reader, config.bindAddress),
    healthzBindAddress: readHostPort(reader, 'healthzBindAddress', config, 10256),
    metricsBindAddress: readHostPort(reader, 'metricsBindAddress', config, 10249),
    bindAddressHardFail: config.bindAddressHardFail,
    hasProfiling: config.enableProfiling,
    masqueradeAll: config[section].masqueradeAll,
    masqueradeBit: config[section].masqueradeBit,
    localhostNodePorts: config.iptables.localhostNodePorts,
    ...readPeriods(reader, configuredMode === 'ipvs' ? 'ipvs' : section, config),
    configSyncPeriodMs: milliseconds(config.configSyncPeriod),
    clusterCIDRs,
    localDetection: readLocalDetection(reader, config, clusterCIDRs),
    nodePortAddresses: readNodePortAddresses(reader, config.nodePortAddresses, configuredMode),
    oomScoreAdj: config.oomScoreAdj,
    conntrack: conntrackOf(config.conntrack),
    ipvs: readIpvs(reader, config.ipvs),
    featureGates: new Map(Object.entries(config.featureGates)),
  };
  reader.limits(KUBE_PROXY_SETTINGS, config);
  reader.throwProblems();
  return settings;
}

function readMode(reader: SettingsReader, mode: string): ProxyMode | '' {
  return reader.oneOf(['mode'], mode, [...MODES, 'auto', '']) ?? '';
}

function readNodeAddress(reader: SettingsReader, text: string): IP | undefined {
  const address = reader.ip(['bindAddress'], text);
  return address === '0.0.0.0' || address === '::' ? undefined : address;
}

function readHostPort(
  reader: SettingsReader,
  key: 'healthzBindAddress' | 'metricsBindAddress',
  config: KubeProxyConfiguration,
  defaultPort: number,
): HostPort | undefined {
  const text = config[key];
  if (text === '') return undefined;
  const address = parseHostPort(text, defaultPort);
  if (address === undefined) {
    const example = `0.0.0.0:${defaultPort}`;
    reader.problem([key], `expected an address with a port such as ${example}, found "${text}"`);
  }
  return address;
}

function readPeriods(
  reader: SettingsReader,
  section: 'iptables' | 'nftables' | 'ipvs',
  config: KubeProxyConfiguration,
): { readonly syncPeriodMs: number; readonly minSyncPeriodMs: number } {
  const { syncPeriod, minSyncPeriod } = config[section];
  const syncPeriodMs = milliseconds(syncPeriod);
  const minSyncPeriodMs = milliseconds(minSyncPeriod);
  if (minSyncPeriodMs > syncPeriodMs) {
    const reason = `${minSyncPeriod} is longer than ${section}.syncPeriod, ${syncPeriod}`;
    reader.problem([section, 'minSyncPeriod'], reason);
  }
  return { syncPeriodMs, minSyncPeriodMs };
}

function readClusterCIDRs(reader: SettingsReader, text: string): readonly Cidr[] {
  if (text === '') return [];
  const cidrs = reader.cidrs(['clusterCIDR'], text.split(','));
  const isDualStack = new Set(cidrs.map((cidr) => cidr.includes(':'))).size === cidrs.length;
  if (!isDualStack) {
    reader.problem(['clusterCIDR'], `expected at most one CIDR of each family, found "${text}"`);
  }
  return cidrs;
}

function readLocalDetection(
  reader: SettingsReader,
  { detectLocalMode, detectLocal }: KubeProxyConfiguration,
  clusterCIDRs: readonly Cidr[],
): LocalDetection | undefined {
  const known = ['ClusterCIDR', 'NodeCIDR', 'BridgeInterface', 'InterfaceNamePrefix', ''] as const;
  switch (reader.oneOf(['detectLocalMode'], detectLocalMode, known)) {
    case 'NodeCIDR':
      return { kind: 'nodeCIDRs' };
    case 'BridgeInterface': {
      const path = ['detectLocal', 'bridgeInterface'];
      const name = reader.required(
        path,
        detectLocal.bridgeInterface,
        'detectLocalMode BridgeInterface',
      );
      return { kind: 'bridge', name };
    }
    case 'InterfaceNamePrefix': {
      const path = ['detectLocal', 'interfaceNamePrefix'];
      const text = detectLocal.interfaceNamePrefix;
      const prefix = reader.required(path, text, 'detectLocalMode InterfaceNamePrefix');
      return { kind: 'interfacePrefix', prefix };
    }
    default:
      return clusterCIDRs.length === 0 ? undefined : { kind: 'cidrs', cidrs: clusterCIDRs };
  }
}

/** Only nftables written out narrows the default to `primary`, as kube-proxy does. */
function readNodePortAddresses(
  reader: SettingsReader,
  addresses: readonly string[] | undefined,
  mode: ProxyMode | '',
): NodePortAddresses {
  if (addresses === undefined) {
    return mode === 'nftables' ? { kind: 'primary' } : { kind: 'cidrs', cidrs: [] };
  }
  if (!addresses.includes('primary')) {
    return { kind: 'cidrs', cidrs: reader.cidrs(['nodePortAddresses'], addresses) };
  }
  if (addresses.length > 1) {
    reader.problem(['nodePortAddresses'], '"primary" cannot be combined with other addresses');
  }
  return { kind: 'primary' };
}

function conntrackOf(section: KubeProxyConfiguration['conntrack']): ConntrackSettings {
  return {
    maxPerCore: section.maxPerCore,
    min: section.min,
    tcpEstablishedTimeoutMs: milliseconds(section.tcpEstablishedTimeout),
    tcpCloseWaitTimeoutMs: milliseconds(section.tcpCloseWaitTimeout),
    isTcpLiberal: section.tcpBeLiberal,
    udpTimeoutMs: milliseconds(section.udpTimeout),
    udpStreamTimeoutMs: milliseconds(section.udpStreamTimeout),
  };
}

function readIpvs(reader: SettingsReader, section: KubeProxyConfiguration['ipvs']): IpvsSettings {
  return {
    scheduler: section.scheduler,
    excludeCIDRs: reader.cidrs(['ipvs', 'excludeCIDRs'], section.excludeCIDRs),
    isStrictARP: section.strictARP,
    tcpTimeoutMs: milliseconds(section.tcpTimeout),
    tcpFinTimeoutMs: milliseconds(section.tcpFinTimeout),
    udpTimeoutMs: milliseconds(section.udpTimeout),
  };
}

/** The limits of the table have refused what is no duration. */
function milliseconds(goDuration: string): number {
  return parseGoDuration(goDuration) ?? 0;
}
