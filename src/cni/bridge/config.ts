import type { PortVlanRange } from '../../kernel/types.ts';
import { type Cidr, parseCidr } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import { type Mac, parseMac } from '../../net/mac.ts';
import { ConfigError } from '../../util/errors.ts';
import {
  type ConfiguredRoute,
  type HostLocalConfig,
  parseHostLocal,
  parseRoutes,
  withKey,
} from '../address-config.ts';
import { type CniArgs, parseCniArgs } from '../protocol/args.ts';
import { unsupportedField } from '../protocol/errors.ts';
import { isJsonObject, memberOf } from '../protocol/json.ts';
import { interfaceNameProblem, type Request } from '../protocol/request.ts';
import type { Dns } from '../protocol/result.ts';
import { parseRawConfig, type RawConfig } from './raw-config.ts';
import { parseVlan, parseVlanTrunk, portVlansOf } from './vlans.ts';

/** Everything the bridge plugin reads, checked and with defaults filled in. */
export interface BridgeConfig {
  readonly bridge: string;
  readonly isGateway: boolean;
  readonly isDefaultGateway: boolean;
  readonly forceAddress: boolean;
  readonly ipMasq: boolean;
  /** Of ipMasq; absent: elements of our own table. */
  readonly ipMasqBackend?: 'iptables';
  /** Networks that pods reach under their own address although there is ipMasq. */
  readonly ipMasqExcept: readonly Cidr[];
  readonly hairpinMode: boolean;
  readonly promiscMode: boolean;
  /** Bytes; `auto` follows the bridge, and a new bridge the uplink. Undefined: kernel's default. */
  readonly mtu?: number | 'auto';
  /** Untagged member of this VLAN; 1 to 4094. */
  readonly vlan?: number;
  /** Memberships of the port, `vlan` among them; none leaves the bridge's default VLAN. */
  readonly portVlans: readonly PortVlanRange[];
  /** The port stays in the bridge's default VLAN besides. */
  readonly preserveDefaultVlan: boolean;
  /** Port of the bridge that carries the pods' VLANs to the outside, tagged. */
  readonly uplinkInterface?: string;
  /** Only frames from the pod's own hardware address enter. */
  readonly macspoofchk: boolean;
  /** Duplicate address detection of the pod's IPv6 addresses; without it they work at once. */
  readonly enabledad: boolean;
  /** The pod's end stays down, and there are no addresses. */
  readonly disableContainerInterface: boolean;
  /** Pods with it do not reach each other, only what is not isolated. */
  readonly portIsolation: boolean;
  /** Pods start with their policies, and reach each other through the node, which enforces them. */
  readonly policy: boolean;
  /** ADD waits for the fabric of the node. */
  readonly fabric: boolean;
  /** Of the pod's end; undefined lets the plan choose. */
  readonly podMac?: Mac;
  /** Absent: a layer 2 network without addresses, or addresses from elsewhere. */
  readonly ipam?: HostLocalConfig;
  /** `ipam.type` when it is not host-local. */
  readonly foreignIpam?: string;
  readonly routes: readonly ConfiguredRoute[];
  /** Addresses asked for through CNI_ARGS, args.cni and runtimeConfig, in that order. */
  readonly requestedIPs: readonly IP[];
  /** Replaces what IPAM says when present. */
  readonly dns?: Dns;
}

/**
 * Checks a configuration for ADD. Throws ConfigError with the key's path (CNI code 7) for a wrong
 * type or value, CNI code 2 for what is not served here.
 */
export function parseBridgeConfig(request: Request): BridgeConfig {
  const raw = parseRawConfig(request.config);
  const type = memberOf(request.config, 'type');
  checkPluginType(type);
  checkCombinations(raw);
  const args = parseCniArgs(request.args);
  const mac = parseMacOf(raw, args);
  return {
    ...parseBridgeKeys(raw),
    ...parseBackend(raw.ipMasqBackend),
    ...parseMtu(raw, type),
    ...parseVlanKeys(raw),
    ...parsePortKeys(raw),
    ...(mac === undefined ? {} : { podMac: mac }),
    ...parseAddresses(raw, args),
    ...(hasDns(raw.dns) ? { dns: raw.dns } : {}),
  };
}

/** What DEL needs, taken as far as it can be made out: DEL never fails for a bad configuration. */
export interface TeardownConfig {
  readonly bridge: string;
  readonly vlan?: number;
  /** Whether the configuration says ipMasq now; it may have said otherwise at ADD. */
  readonly isMasqueraded: boolean;
  /** Whether rules of iptables are to be expected; others are looked for when the pod is not ours. */
  readonly usesIptables: boolean;
  /** Undefined when there is no IPAM. */
  readonly ipamType?: string;
  readonly dataDir?: string;
}

/** Reads a configuration for DEL without judging it. */
export function parseTeardownConfig(config: Readonly<Record<string, unknown>>): TeardownConfig {
  const ipam = memberOf(config, 'ipam');
  const members = isJsonObject(ipam) ? ipam : {};
  const ipamType = memberOf(members, 'type');
  const dataDir = memberOf(members, 'dataDir');
  const bridge = memberOf(config, 'bridge');
  const vlan = memberOf(config, 'vlan');
  return {
    ...(typeof vlan === 'number' && vlan !== 0 ? { vlan } : {}),
    bridge: typeof bridge === 'string' && bridge !== '' ? bridge : DEFAULT_BRIDGE,
    isMasqueraded: memberOf(config, 'ipMasq') === true,
    usesIptables: memberOf(config, 'ipMasqBackend') === 'iptables',
    ...(typeof ipamType === 'string' && ipamType !== '' ? { ipamType } : {}),
    ...(typeof dataDir === 'string' && dataDir !== '' ? { dataDir } : {}),
  };
}

const DEFAULT_BRIDGE = 'cni0';

function checkCombinations(raw: RawConfig): void {
  if (raw.hairpinMode === true && raw.promiscMode === true) {
    throw new ConfigError(
      'hairpinMode',
      'cannot set hairpin mode and promiscuous mode at the same time (hairpinMode, promiscMode)',
    );
  }
  if (raw.policy === true) checkPolicy(raw);
  if (raw.disableContainerInterface === true && raw.ipam?.type) {
    throw new ConfigError(
      'disableContainerInterface',
      'cannot use IPAM when DisableContainerInterface flag is set (disableContainerInterface)',
    );
  }
}

/** The node answers for every pod of the bridge, and for nobody else. */
function checkPolicy({ isGateway, isDefaultGateway, portIsolation, uplinkInterface }: RawConfig) {
  const refuse = (reason: string) => {
    throw new ConfigError('policy', `policy: ${reason}`);
  };
  if (isGateway !== true && isDefaultGateway !== true) {
    refuse('the node does not route between these pods, set isGateway or isDefaultGateway');
  }
  if (portIsolation === true) refuse('pods with portIsolation would reach each other, remove one');
  if (uplinkInterface) refuse('the node would answer for hosts behind uplinkInterface, remove one');
}

function parseBridgeKeys(raw: RawConfig) {
  return {
    bridge: parseBridgeName(raw.bridge),
    isGateway: raw.isGateway === true || raw.isDefaultGateway === true,
    isDefaultGateway: raw.isDefaultGateway === true,
    forceAddress: raw.forceAddress === true,
    ipMasq: raw.ipMasq === true,
    ipMasqExcept: (raw.ipMasqExcept ?? []).map((text, index) =>
      withKey(`ipMasqExcept[${index}]`, text, parseCidr),
    ),
    promiscMode: raw.promiscMode === true,
  };
}

function parsePortKeys(raw: RawConfig) {
  return {
    hairpinMode: raw.hairpinMode === true,
    macspoofchk: raw.macspoofchk === true,
    enabledad: raw.enabledad === true,
    disableContainerInterface: raw.disableContainerInterface === true,
    portIsolation: raw.portIsolation === true,
    fabric: raw.fabric === true,
    policy: raw.policy === true,
  };
}

/** Under its own name the plugin follows the uplink unless told otherwise; the reference does not. */
function parseMtu(raw: RawConfig, type: unknown): Pick<BridgeConfig, 'mtu'> {
  if (raw.mtu === undefined || raw.mtu === 0) return type === 'weft' ? { mtu: 'auto' } : {};
  return { mtu: raw.mtu };
}

function parseVlanKeys(raw: RawConfig) {
  const vlan = parseVlan(raw.vlan);
  const { uplinkInterface } = raw;
  return {
    ...(vlan === undefined ? {} : { vlan }),
    portVlans: portVlansOf(vlan, parseVlanTrunk(raw.vlanTrunk ?? [])),
    preserveDefaultVlan: raw.preserveDefaultVlan === true,
    ...(uplinkInterface === undefined || uplinkInterface === '' ? {} : { uplinkInterface }),
  };
}

function checkPluginType(type: unknown): void {
  if (type === undefined || type === '' || type === 'bridge' || type === 'weft') return;
  throw unsupportedField('type', type);
}

function parseBackend(backend: string | undefined): Pick<BridgeConfig, 'ipMasqBackend'> {
  if (backend === undefined || backend === '' || backend === 'nftables') return {};
  if (backend === 'iptables') return { ipMasqBackend: backend };
  throw new ConfigError('ipMasqBackend', `ipMasqBackend: unknown ipmasq backend "${backend}"`);
}

function parseBridgeName(name: string | undefined): string {
  if (name === undefined || name === '') return DEFAULT_BRIDGE;
  const problem = interfaceNameProblem(name);
  if (problem === undefined) return name;
  throw new ConfigError('bridge', `bridge "${name}": ${problem.text}`);
}

/** What addresses are asked for is read by whoever gives them: type static knows a list where host-local does not. */
function parseAddresses(raw: RawConfig, args: CniArgs) {
  const { type = '', routes } = raw.ipam ?? {};
  if (type === 'host-local') return parseHostLocal(raw, args);
  const foreign = type === '' ? {} : { foreignIpam: type };
  return { ...foreign, routes: parseRoutes(routes), requestedIPs: [] };
}

/** runtimeConfig.mac before args.cni.mac before CNI_ARGS MAC, as the reference bridge plugin. */
function parseMacOf(raw: RawConfig, args: CniArgs): Mac | undefined {
  const sources = [
    ['runtimeConfig.mac', raw.runtimeConfig?.mac],
    ['args.cni.mac', raw.args?.cni?.mac],
    ['CNI_ARGS MAC', args.mac],
  ] as const;
  const found = sources.find(([, text]) => text !== undefined && text !== '');
  if (found?.[1] === undefined) return undefined;
  return withKey(found[0], found[1], parseMac);
}

function hasDns(dns: Dns | undefined): dns is Dns {
  return dns !== undefined && Object.keys(dns).length > 0;
}
