/** The configuration of host ports: what the network asks for and what the runtime adds to it. */
import {
  type IP,
  type IPFamily,
  ipFamily,
  isLoopback,
  isUnspecified,
  tryParseIP,
} from '../../net/ip.ts';
import { ConfigError } from '../../util/errors.ts';
import type { MasqueradeScope, PortProtocol } from '../host-ports.ts';
import { unsupportedField } from '../protocol/errors.ts';
import { isJsonObject, memberOf } from '../protocol/json.ts';
import { type Backend, parseBackend } from './backend.ts';

/** One entry of runtimeConfig.portMappings. */
export interface PortMapping {
  readonly protocol: PortProtocol;
  readonly hostPort: number;
  readonly containerPort: number;
  /** Families of node addresses that it answers on. */
  readonly families: readonly IPFamily[];
  /** Absent: on every address of the node. */
  readonly hostIP?: IP;
}

export interface PortmapConfig extends Backend {
  readonly mappings: readonly PortMapping[];
  readonly masquerade: MasqueradeScope;
}

type Members = Readonly<Record<string, unknown>>;

const MAPPINGS_KEY = 'runtimeConfig.portMappings';
const PROTOCOLS: readonly PortProtocol[] = ['tcp', 'udp', 'sctp'];

/**
 * Reads the keys of the reference's portmap plugin, in any case. Throws ConfigError with the key's
 * path (CNI code 7) for a wrong value or values that exclude each other.
 */
export function parsePortmapConfig(config: Members): PortmapConfig {
  const usesSnat = parseBoolean(config, 'snat', true);
  const masqueradesAll = parseBoolean(config, 'masqAll', false);
  return {
    mappings: readMappings(config).map(parseMapping),
    masquerade: usesSnat ? (masqueradesAll ? 'all' : 'subnet') : 'none',
    ...parseBackend(config),
  };
}

function readMappings(config: Members): readonly unknown[] {
  const runtimeConfig = memberOf(config, 'runtimeConfig') ?? {};
  if (!isJsonObject(runtimeConfig)) throw new ConfigError('runtimeConfig', 'must be an object');
  const mappings = memberOf(runtimeConfig, 'portMappings') ?? [];
  if (!Array.isArray(mappings)) throw new ConfigError(MAPPINGS_KEY, 'must be an array');
  return mappings;
}

function parseMapping(entry: unknown, position: number): PortMapping {
  const key = `${MAPPINGS_KEY}[${position}]`;
  if (!isJsonObject(entry)) throw new ConfigError(key, 'must be an object');
  return {
    protocol: parseProtocol(entry, key),
    hostPort: parsePort(entry, key, 'hostPort', 'invalid host port number'),
    containerPort: parsePort(entry, key, 'containerPort', 'invalid container port number'),
    ...parseHostIP(entry, key),
  };
}

function parsePort(entry: Members, key: string, name: string, problem: string): number {
  const port = memberOf(entry, name) ?? 0;
  if (isIntegerUpTo(port, 1, 65_535)) return port;
  throw new ConfigError(`${key}.${name}`, `${problem}: ${JSON.stringify(port)}`);
}

/** Without one it is TCP, the default of the Kubernetes API. */
function parseProtocol(entry: Members, key: string): PortProtocol {
  const value = memberOf(entry, 'protocol') ?? '';
  const text = typeof value === 'string' ? value.toLowerCase() : value;
  const protocol = PROTOCOLS.find((known) => known === (text === '' ? 'tcp' : text));
  if (protocol !== undefined) return protocol;
  throw new ConfigError(`${key}.protocol`, `unknown protocol ${JSON.stringify(value)}`);
}

/**
 * The unspecified address of a family means every address of that family. The kernel drops packets
 * from ::1 on other links than lo and has no route_localnet for IPv6, so nothing could answer there.
 */
function parseHostIP(entry: Members, key: string): Pick<PortMapping, 'families' | 'hostIP'> {
  const text = memberOf(entry, 'hostIP') ?? '';
  if (text === '') return { families: [4, 6] };
  const address = typeof text === 'string' ? tryParseIP(text) : undefined;
  if (address === undefined) {
    throw new ConfigError(`${key}.hostIP`, `invalid IP address ${JSON.stringify(text)}`);
  }
  const family = ipFamily(address);
  if (family === 6 && isLoopback(address)) throw unsupportedField(`${key}.hostIP`, address);
  return isUnspecified(address) ? { families: [family] } : { families: [family], hostIP: address };
}

function parseBoolean(config: Members, key: string, fallback: boolean): boolean {
  const value = memberOf(config, key) ?? fallback;
  if (typeof value !== 'boolean') throw new ConfigError(key, 'must be a boolean');
  return value;
}

function isIntegerUpTo(value: unknown, low: number, high: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high;
}
