/**
 * The result of ADD and its text in every specification version. Shapes follow the CNI
 * specification ("ADD success") and the key order that libcni's types print.
 */
import { cidrFamily, type IPWithPrefix } from '../../net/cidr.ts';
import type { IP, IPFamily } from '../../net/ip.ts';
import { CNI_ERROR_CODE, CniError } from './errors.ts';
import { indentedJson, sortedKeys } from './json.ts';
import { isAtLeast, type SpecVersion } from './versions.ts';

export interface ResultInterface {
  readonly name: string;
  /** Canonical where it is ours; otherwise as the plugin before us wrote it. */
  readonly mac?: string;
  readonly mtu?: number;
  /** Path of the pod's namespace; absent for links on the node. */
  readonly sandbox?: string;
  readonly socketPath?: string;
  readonly pciID?: string;
}

export interface ResultIP {
  /** Index into `interfaces`. */
  readonly interface?: number;
  readonly address: IPWithPrefix;
  readonly gateway?: IP;
}

export interface ResultRoute {
  readonly dst: IPWithPrefix;
  readonly gw?: IP;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
}

export interface Dns {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

/** In the terms of 1.1.0, the richest version. */
export interface Result {
  readonly interfaces: readonly ResultInterface[];
  readonly ips: readonly ResultIP[];
  readonly routes: readonly ResultRoute[];
  readonly dns: Dns;
}

/**
 * The text that goes to stdout: indented by 4 spaces, no newline at the end. Below 0.3.0 only the
 * first address of each family can be told, and a result without any is an error.
 */
export function formatResult(result: Result, cniVersion: SpecVersion): string {
  if (isAtLeast(cniVersion, '1.0.0')) return formatCurrent(result, cniVersion);
  return indentedJson(
    isAtLeast(cniVersion, '0.3.0')
      ? buildStructured(result, cniVersion)
      : buildLegacy(result, cniVersion),
  );
}

function formatCurrent(result: Result, cniVersion: SpecVersion): string {
  const dns = compactDns(result.dns);
  return indentedJson(
    sortedKeys({
      cniVersion,
      interfaces: unlessEmpty(result.interfaces.map(compactInterface)),
      ips: unlessEmpty(result.ips.map(compactIP)),
      routes: unlessEmpty(result.routes.map(compactRoute)),
      dns: Object.keys(dns).length === 0 ? undefined : dns,
    }),
  );
}

function buildStructured(result: Result, cniVersion: SpecVersion): object {
  return {
    cniVersion,
    interfaces: unlessEmpty(
      result.interfaces.map(({ name, mac, sandbox }) => ({ name, mac, sandbox })),
    ),
    ips: unlessEmpty(
      result.ips.map((ip) => ({ version: String(cidrFamily(ip.address)), ...compactIP(ip) })),
    ),
    routes: unlessEmpty(result.routes.map(compactRoute)),
    dns: compactDns(result.dns),
  };
}

function buildLegacy(result: Result, cniVersion: SpecVersion): object {
  const ip4 = legacyConfig(result, 4);
  const ip6 = legacyConfig(result, 6);
  if (ip4 === undefined && ip6 === undefined) {
    throw new CniError(CNI_ERROR_CODE.internal, 'cannot convert: no valid IP addresses');
  }
  return { cniVersion, ip4, ip6, dns: compactDns(result.dns) };
}

function legacyConfig(result: Result, family: IPFamily): object | undefined {
  const ip = result.ips.find(({ address }) => cidrFamily(address) === family);
  if (ip === undefined) return undefined;
  const routes = result.routes
    .filter(({ dst }) => cidrFamily(dst) === family)
    .map(({ dst, gw }) => ({ dst, gw }));
  return { ip: ip.address, gateway: ip.gateway, routes: unlessEmpty(routes) };
}

/** Absent values are left undefined: JSON leaves them out. Key order is that of Go's structs. */
function compactInterface({ mtu, ...texts }: ResultInterface): object {
  return { ...texts, mtu: unlessZero(mtu) };
}

function compactIP(ip: ResultIP): object {
  return { interface: ip.interface, address: ip.address, gateway: ip.gateway };
}

/** `table` and `scope` are pointers in Go, so a zero in them is printed; in the others it is not. */
function compactRoute({ dst, gw, mtu, advmss, priority, table, scope }: ResultRoute): object {
  return {
    dst,
    gw,
    mtu: unlessZero(mtu),
    advmss: unlessZero(advmss),
    priority: unlessZero(priority),
    table,
    scope,
  };
}

function compactDns({ nameservers, domain, search, options }: Dns): object {
  const entries = Object.entries({
    nameservers: unlessEmpty(nameservers ?? []),
    domain: domain === '' ? undefined : domain,
    search: unlessEmpty(search ?? []),
    options: unlessEmpty(options ?? []),
  });
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function unlessEmpty<T>(items: readonly T[]): readonly T[] | undefined {
  return items.length === 0 ? undefined : items;
}

function unlessZero(value: number | undefined): number | undefined {
  return value === 0 ? undefined : value;
}

/** First gateway among the addresses of a family; what a route without one is sent to. */
export function gatewayOf(
  ips: readonly Omit<ResultIP, 'interface'>[],
  family: IPFamily,
): IP | undefined {
  return ips.find(({ address, gateway }) => {
    return gateway !== undefined && cidrFamily(address) === family;
  })?.gateway;
}
