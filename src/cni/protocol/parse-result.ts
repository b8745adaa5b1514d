/**
 * Results as other plugins print them, read in every version of the specification: as prevResult and
 * as the answer of a delegate. Leniency, conversions and texts follow libcni's pkg/types/020, 040,
 * 100 and create.
 */
import { type IPWithPrefix, parseIPWithPrefix } from '../../net/cidr.ts';
import { AddressError, type IP, parseIP } from '../../net/ip.ts';
import { DecodeError } from '../../util/errors.ts';
import { isJsonObject, memberOf } from './json.ts';
import type { Dns, Result, ResultInterface, ResultIP, ResultRoute } from './result.ts';

type Members = Readonly<Record<string, unknown>>;

/** Versions that share a shape; a result says itself which of them it is. */
const SHAPES: readonly { readonly versions: readonly string[]; readonly isLegacy: boolean }[] = [
  { versions: ['0.1.0', '0.2.0'], isLegacy: true },
  { versions: ['0.3.0', '0.3.1', '0.4.0'], isLegacy: false },
  { versions: ['1.0.0', '1.1.0'], isLegacy: false },
];

/**
 * A result of the family of `cniVersion`, in the terms of 1.1.0; one that does not tell its version
 * has that one. Throws DecodeError with the path of what is wrong.
 */
export function parseResult(value: unknown, cniVersion: string): Result {
  const result = asObject(value ?? {}, 'result');
  const shape = SHAPES.find(({ versions }) => versions.includes(cniVersion));
  if (shape === undefined) {
    throw new DecodeError(`unsupported CNI result version ${JSON.stringify(cniVersion)}`);
  }
  const own = resultVersion(result) ?? cniVersion;
  if (!shape.versions.includes(own)) {
    const supported = `[${shape.versions.join(' ')}]`;
    throw new DecodeError(
      `result type supports ${supported} but unmarshalled CNIVersion is ${JSON.stringify(own)}`,
    );
  }
  return shape.isLegacy ? parseLegacy(result) : parseStructured(result);
}

/** The version a result says it has; undefined when it says none. */
export function resultVersion(result: Members): string | undefined {
  const version = textOf(result, 'cniVersion', 'cniVersion');
  return version === '' ? undefined : version;
}

function parseStructured(result: Members): Result {
  return {
    interfaces: eachObject(result, 'interfaces', 'interfaces').map(parseInterface),
    ips: eachObject(result, 'ips', 'ips').map(parseResultIP),
    routes: parseRoutes(result, 'routes'),
    dns: parseDns(result, 'dns'),
  };
}

/** One address per family, each with the routes of its family. */
function parseLegacy(result: Members): Result {
  const configs = ['ip4', 'ip6'].flatMap((key) => {
    const value = memberOf(result, key);
    return value === undefined ? [] : [{ key, config: asObject(value, key) }];
  });
  return {
    interfaces: [],
    ips: configs.map(({ key, config }) => ({
      address: addressWithPrefix(config, 'ip', `${key}.ip`),
      ...optional('gateway', addressOf(config, 'gateway', `${key}.gateway`)),
    })),
    routes: configs.flatMap(({ key, config }) => parseRoutes(config, `${key}.routes`)),
    dns: parseDns(result, 'dns'),
  };
}

function parseInterface(value: Members, index: number): ResultInterface {
  const path = `interfaces[${index}]`;
  const text = (key: string) => textOf(value, key, `${path}.${key}`) || undefined;
  return {
    name: text('name') ?? '',
    ...optional('mac', text('mac')),
    ...optional('mtu', integerOf(value, 'mtu', `${path}.mtu`)),
    ...optional('sandbox', text('sandbox')),
    ...optional('socketPath', text('socketPath')),
    ...optional('pciID', text('pciID')),
  };
}

function parseResultIP(value: Members, index: number): ResultIP {
  const path = `ips[${index}]`;
  return {
    ...optional('interface', integerOf(value, 'interface', `${path}.interface`)),
    address: addressWithPrefix(value, 'address', `${path}.address`),
    ...optional('gateway', addressOf(value, 'gateway', `${path}.gateway`)),
  };
}

/** Routes at the end of `path`, which is the member's name unless it lies deeper. */
export function parseRoutes(parent: Members, path: string): readonly ResultRoute[] {
  return eachObject(parent, 'routes', path).map((value, index) => {
    const at = `${path}[${index}]`;
    const integer = (key: string) => integerOf(value, key, `${at}.${key}`);
    return {
      dst: addressWithPrefix(value, 'dst', `${at}.dst`),
      ...optional('gw', addressOf(value, 'gw', `${at}.gw`)),
      ...optional('mtu', integer('mtu')),
      ...optional('advmss', integer('advmss')),
      ...optional('priority', integer('priority')),
      ...optional('table', integer('table')),
      ...optional('scope', integer('scope')),
    };
  });
}

/** The member `dns` of `parent`. */
export function parseDns(parent: Members, path: string): Dns {
  const dns = asObject(memberOf(parent, 'dns') ?? {}, path);
  const texts = (key: string) => {
    const items = listOf(dns, key, `${path}.${key}`);
    return items.length === 0 ? undefined : items.map((item) => asText(item, `${path}.${key}`));
  };
  return {
    ...optional('nameservers', texts('nameservers')),
    ...optional('domain', textOf(dns, 'domain', `${path}.domain`) || undefined),
    ...optional('search', texts('search')),
    ...optional('options', texts('options')),
  };
}

/** `{ key: value }`, or nothing when there is no value. */
function optional<K extends string, T>(key: K, value: T | undefined): { readonly [P in K]?: T } {
  if (value === undefined) return {};
  // A computed key widens to string; it is K by construction.
  return { [key]: value } as { readonly [P in K]?: T };
}

function addressWithPrefix(value: Members, key: string, path: string): IPWithPrefix {
  return parsed(asText(memberOf(value, key) ?? '', path), path, parseIPWithPrefix);
}

function addressOf(value: Members, key: string, path: string): IP | undefined {
  const text = textOf(value, key, path);
  return text === '' ? undefined : parsed(text, path, parseIP);
}

function parsed<T>(text: string, path: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof AddressError)) throw cause;
    throw new DecodeError(`${path}: ${cause.message}`, { cause });
  }
}

function eachObject(parent: Members, key: string, path: string): readonly Members[] {
  return listOf(parent, key, path).map((item, index) => asObject(item, `${path}[${index}]`));
}

function listOf(parent: Members, key: string, path: string): readonly unknown[] {
  const value = memberOf(parent, key) ?? [];
  if (Array.isArray(value)) return value;
  throw new DecodeError(`${path}: must be an array`);
}

function textOf(parent: Members, key: string, path: string): string {
  return asText(memberOf(parent, key) ?? '', path);
}

function asText(value: unknown, path: string): string {
  if (typeof value === 'string') return value;
  throw new DecodeError(`${path}: must be a string`);
}

function integerOf(parent: Members, key: string, path: string): number | undefined {
  const value = memberOf(parent, key);
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  throw new DecodeError(`${path}: must be an integer`);
}

function asObject(value: unknown, path: string): Members {
  if (isJsonObject(value)) return value;
  throw new DecodeError(`${path}: must be an object`);
}
