import {
  addressOf,
  type Cidr,
  cidrFamily,
  containsIP,
  networkAddress,
  parseIPWithPrefix,
  parseSloppyCidr,
  prefixLength,
} from '../net/cidr.ts';
import { AddressError, addressBits, compareIP, type IP, tryParseIP } from '../net/ip.ts';
import { ConfigError } from '../util/errors.ts';
import {
  defaultEnd,
  defaultStart,
  formatRangeSet,
  type IPRange,
  type RangeSet,
  rangeSetsOverlap,
  rangesOverlap,
} from './ranges.ts';

/** One range as written in a configuration; empty text counts as absent, except for `subnet`. */
export interface RangeConfig {
  readonly subnet?: string | undefined;
  readonly rangeStart?: string | undefined;
  readonly rangeEnd?: string | undefined;
  readonly gateway?: string | undefined;
}

/** The `ipam` object as far as ranges go; its own subnet is the old single-range form. */
export interface RangesConfig extends RangeConfig {
  readonly ranges?: readonly (readonly RangeConfig[])[] | undefined;
}

/** Requested addresses as written, `ip` or `ip/prefix`, in the order host-local reads them. */
export interface RequestedAddressesConfig {
  /** The value of `IP` in CNI_ARGS. */
  readonly cniArgsIP?: string | undefined;
  /** `args.cni.ips`. */
  readonly argsIps?: readonly string[] | undefined;
  /** `runtimeConfig.ips`. */
  readonly runtimeIps?: readonly string[] | undefined;
}

interface KeyedSet {
  readonly key: string;
  readonly ranges: readonly { readonly key: string; readonly config: RangeConfig }[];
}

/**
 * The range sets of a host-local configuration: `runtimeConfig.ipRanges`, then the old single
 * range, then `ipam.ranges`; the position of a set is the N of `last_reserved_ip.N`. Throws
 * ConfigError with the path of the offending key and host-local's own words.
 */
export function buildRangeSets(
  cniVersion: string,
  ipam: RangesConfig,
  runtimeRanges: readonly (readonly RangeConfig[])[] = [],
): RangeSet[] {
  const keyedSets = [
    ...runtimeRanges.map((set, index) => keyedSet(`runtimeConfig.ipRanges[${index}]`, set)),
    ...(ipam.subnet === undefined
      ? []
      : [{ key: 'ipam', ranges: [{ key: 'ipam', config: ipam }] }]),
    ...(ipam.ranges ?? []).map((set, index) => keyedSet(`ipam.ranges[${index}]`, set)),
  ];
  if (keyedSets.length === 0) throw new ConfigError('ipam.ranges', 'no IP ranges specified');
  const sets = keyedSets.map(buildRangeSet);
  checkVersion(cniVersion, sets);
  checkOverlap(sets, keyedSets);
  return sets;
}

/** All requested addresses, each once, prefixes dropped. Throws ConfigError for text that is none. */
export function requestedAddresses(config: RequestedAddressesConfig): IP[] {
  const sources: readonly (readonly [string, readonly string[]])[] = [
    ['CNI_ARGS.IP', config.cniArgsIP ? [config.cniArgsIP] : []],
    ['args.cni.ips', config.argsIps ?? []],
    ['runtimeConfig.ips', config.runtimeIps ?? []],
  ];
  const addresses = sources.flatMap(([key, texts]) =>
    texts.map((text) => parseRequested(key, text)),
  );
  return [...new Set(addresses)];
}

function keyedSet(key: string, set: readonly RangeConfig[]): KeyedSet {
  return { key, ranges: set.map((config, index) => ({ key: `${key}[${index}]`, config })) };
}

function buildRangeSet(keyed: KeyedSet, index: number): RangeSet {
  const invalid = (key: string, reason: string) =>
    new ConfigError(key, `invalid range set ${index}: ${reason}`);
  const [first] = keyed.ranges;
  if (first === undefined) throw invalid(keyed.key, 'empty range set');
  const set = keyed.ranges.map(({ key, config }) => buildRange(key, config, invalid));
  for (const [position, range] of set.entries()) {
    const key = keyed.ranges[position]?.key ?? keyed.key;
    if (set[0] !== undefined && cidrFamily(range.subnet) !== cidrFamily(set[0].subnet)) {
      throw invalid(`${key}.subnet`, 'mixed address families');
    }
    const other = set.slice(0, position).find((earlier) => rangesOverlap(earlier, range));
    if (other !== undefined) {
      const texts = [formatRangeSet([other]), formatRangeSet([range])];
      throw invalid(`${key}.subnet`, `subnets ${texts.join(' and ')} overlap`);
    }
  }
  return set;
}

type Invalid = (key: string, reason: string) => ConfigError;

function buildRange(key: string, config: RangeConfig, invalid: Invalid): IPRange {
  const subnet = parseSubnet(`${key}.subnet`, config.subnet, invalid);
  const gateway = parseOptional(`${key}.gateway`, config.gateway) ?? defaultStart(subnet);
  const givenStart = parseOptional(`${key}.rangeStart`, config.rangeStart);
  const givenEnd = parseOptional(`${key}.rangeEnd`, config.rangeEnd);
  const start = givenStart ?? defaultStart(subnet);
  const end = givenEnd ?? defaultEnd(subnet);
  // With both given the wrong way round, host-local blames the start.
  const isBehindEnd = givenEnd !== undefined && compareIP(start, givenEnd) > 0;
  if (givenStart !== undefined && (!containsIP(subnet, start) || isBehindEnd)) {
    throw invalid(`${key}.rangeStart`, `RangeStart ${start} not in network ${subnet}`);
  }
  if (givenEnd !== undefined && (!containsIP(subnet, end) || compareIP(start, end) > 0)) {
    throw invalid(`${key}.rangeEnd`, `RangeEnd ${end} not in network ${subnet}`);
  }
  if (compareIP(start, end) > 0) {
    throw invalid(`${key}.rangeStart`, `RangeStart ${start} is behind the last address ${end}`);
  }
  return { subnet, start, end, gateway };
}

function parseSubnet(key: string, text: string | undefined, invalid: Invalid): Cidr {
  if (text === undefined) throw invalid(key, 'subnet is missing');
  // Go's net.ParseCIDR allows zeros before the length, never in an octet.
  const [address = '', length = ''] = text.split('/');
  const given = tryParseIP(address);
  const subnet = parseSloppyCidr(text);
  if (given === undefined || subnet === undefined || length === '') {
    throw new ConfigError(key, `invalid CIDR address: ${text}`);
  }
  const family = cidrFamily(subnet);
  if (family === 4 && address.includes(':')) {
    throw invalid(key, 'IPNet IP and Mask version mismatch');
  }
  const bits = prefixLength(subnet);
  if (bits > addressBits(family) - 2) {
    throw invalid(key, `Network ${subnet} too small to allocate from`);
  }
  if (compareIP(given, networkAddress(subnet)) !== 0) {
    throw invalid(
      key,
      `Network has host bits set. For a subnet mask of length ${bits} the network address is ${networkAddress(subnet)}`,
    );
  }
  return subnet;
}

function parseOptional(key: string, text: string | undefined): IP | undefined {
  if (text === undefined || text === '') return undefined;
  const ip = tryParseIP(text);
  if (ip === undefined) throw new ConfigError(key, `invalid IP address: ${text}`);
  return ip;
}

function parseRequested(key: string, text: string): IP {
  try {
    return text.includes('/') ? addressOf(parseIPWithPrefix(text)) : parsePlain(text);
  } catch (cause) {
    if (!(cause instanceof AddressError)) throw cause;
    throw new ConfigError(key, `invalid IP address ${text}`, { cause });
  }
}

function parsePlain(text: string): IP {
  const ip = tryParseIP(text);
  if (ip === undefined) throw new AddressError(`parse IP ${JSON.stringify(text)}: not an address`);
  return ip;
}

/** CNI results before 0.3.0 have room for one address per family. */
function checkVersion(cniVersion: string, sets: readonly RangeSet[]): void {
  const [major = 0, minor = 0] = cniVersion.split('.').map(Number);
  if (major > 0 || minor >= 3) return;
  const families = sets.flatMap((set) => set.slice(0, 1)).map((range) => cidrFamily(range.subnet));
  if (new Set(families).size < families.length) {
    throw new ConfigError(
      'ipam.ranges',
      `CNI version ${cniVersion} does not support more than 1 address per family`,
    );
  }
}

function checkOverlap(sets: readonly RangeSet[], keyedSets: readonly KeyedSet[]): void {
  for (const [index, set] of sets.entries()) {
    for (const [distance, other] of sets.slice(index + 1).entries()) {
      if (!rangeSetsOverlap(set, other)) continue;
      const otherIndex = index + 1 + distance;
      throw new ConfigError(
        keyedSets[otherIndex]?.key ?? 'ipam.ranges',
        `range set ${index} overlaps with ${otherIndex}`,
      );
    }
  }
}
