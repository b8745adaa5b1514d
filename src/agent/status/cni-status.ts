import { join } from 'node:path';
import { configDoubts } from '../../cni/doubts.ts';
import { type NetworkConfig, readNetworkConfigs } from '../../cni/network-configs.ts';
import { isJsonObject, memberOf } from '../../cni/protocol/json.ts';
import { buildRangeSets, type RangesConfig } from '../../ipam/range-config.ts';
import { type IPRange, rangeContains } from '../../ipam/ranges.ts';
import { storeDirectory } from '../../ipam/store.ts';
import { type IPFamily, ipFamily, ipToBigInt, tryParseIP } from '../../net/ip.ts';
import { namesIn, readIfReadable } from '../../util/files.ts';
import { parseJson } from '../../util/json.ts';

export interface CniStatus {
  /** Interfaces in pods, and how many pods these are. */
  readonly attachments: number;
  readonly pods: number;
  /** ADDs that have begun and not ended. */
  readonly unfinishedAdds: number;
  readonly networks: readonly NetworkStatus[];
  /** What the runtime's network configurations say and hardly mean, and pods that differ from their records. */
  readonly doubts: readonly string[];
}

/** Addresses of one network and family. */
export interface NetworkStatus {
  readonly network: string;
  readonly family: IPFamily;
  readonly used: number;
  /** Absent when no configuration tells the range, or it is too large to matter. */
  readonly free?: number;
}

export interface CniDirectories {
  readonly runDir: string;
  readonly ipamDirectory: string;
  readonly confDirectory: string;
}

/** A network of the runtime's configuration directory, or a folder of addresses without one. */
export interface KnownNetwork {
  readonly name: string;
  readonly directory: string;
  readonly ranges: readonly IPRange[];
}

/** More free addresses than that are told as none too few. */
const MOST_COUNTED = 2 ** 32;

/** Reads what there is; a missing directory counts as an empty one. */
export function readCniStatus(directories: CniDirectories): CniStatus {
  const attachments = join(directories.runDir, 'attachments');
  const names = visibleIn(attachments);
  const containers = names.map((name) =>
    containerOf(readIfReadable(join(attachments, name)) ?? '', name),
  );
  return {
    attachments: names.length,
    pods: new Set(containers).size,
    unfinishedAdds: visibleIn(join(directories.runDir, 'adding')).length,
    networks: knownNetworks(directories).flatMap(networkStatus),
    doubts: configDoubts(readNetworkConfigs(directories.confDirectory)),
  };
}

/** By container, which is a pod's sandbox; by its own name when the file is not to be read. */
function containerOf(text: string, name: string): string {
  const record = parseJson(text);
  const attachment = isJsonObject(record) ? memberOf(record, 'attachment') : undefined;
  const id = isJsonObject(attachment) ? memberOf(attachment, 'containerId') : undefined;
  return typeof id === 'string' ? id : name;
}

/** Configured ones, and folders of addresses that no configuration names. */
export function knownNetworks({
  ipamDirectory,
  confDirectory,
}: CniDirectories): readonly KnownNetwork[] {
  const configured = readNetworkConfigs(confDirectory).flatMap((config) => {
    return networksOf(config, ipamDirectory);
  });
  const known = new Set(configured.map(({ directory }) => directory));
  const others = visibleIn(ipamDirectory)
    .map((name) => ({ name, directory: join(ipamDirectory, name), ranges: [] }))
    .filter(({ directory }) => !known.has(directory));
  return [...configured, ...others];
}

/** The networks of a configuration whose addresses come from host-local. */
function networksOf(config: NetworkConfig, ipamDirectory: string): readonly KnownNetwork[] {
  const { name, cniVersion, plugins } = config;
  if (name === '') return [];
  return plugins.flatMap((plugin) => {
    const ipam = memberOf(plugin, 'ipam');
    if (!isJsonObject(ipam) || memberOf(ipam, 'type') !== 'host-local') return [];
    const dataDir = memberOf(ipam, 'dataDir');
    const directory = storeDirectory(typeof dataDir === 'string' ? dataDir : ipamDirectory, name);
    return [{ name, directory, ranges: rangesOf(cniVersion, ipam) }];
  });
}

/** Ranges that are not right are the plugin's to complain about, at the next ADD. */
function rangesOf(cniVersion: string, ipam: object): readonly IPRange[] {
  try {
    // Every field is checked where it is read; what is of another type ends in an exception.
    return buildRangeSets(cniVersion === '' ? '1.0.0' : cniVersion, ipam as RangesConfig).flat();
  } catch {
    return [];
  }
}

function networkStatus({ name, directory, ranges }: KnownNetwork): readonly NetworkStatus[] {
  const addresses = visibleIn(directory).flatMap((file) => tryParseIP(file) ?? []);
  return ([4, 6] as const).flatMap((family) => {
    const used = addresses.filter((address) => ipFamily(address) === family).length;
    const own = ranges.filter(({ start }) => ipFamily(start) === family);
    if (used === 0 && own.length === 0) return [];
    const size = own.reduce((sum, range) => sum + sizeOf(range), 0);
    const isTold = own.length > 0 && size < MOST_COUNTED;
    return [{ network: name, family, used, ...(isTold ? { free: Math.max(0, size - used) } : {}) }];
  });
}

function sizeOf(range: IPRange): number {
  const { start, end, gateway } = range;
  const size = Number(ipToBigInt(end) - ipToBigInt(start)) + 1;
  const holdsGateway = ipFamily(gateway) === ipFamily(start) && rangeContains(range, gateway);
  return holdsGateway ? size - 1 : size;
}

function visibleIn(directory: string): readonly string[] {
  return namesIn(directory).filter((name) => !name.startsWith('.'));
}
