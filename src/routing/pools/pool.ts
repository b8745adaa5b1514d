import {
  type Cidr,
  cidrFamily,
  lastAddress,
  networkAddress,
  tryParseCidr,
} from '../../net/cidr.ts';
import {
  compareIP,
  type IP,
  type IPFamily,
  ipFamily,
  ipFromBigInt,
  ipToBigInt,
  tryParseIP,
} from '../../net/ip.ts';
import { specialKind } from '../../net/special.ts';

/** Addresses from the first to the last, both of one family. */
export interface AddressRange {
  readonly first: IP;
  readonly last: IP;
}

/** Addresses that Services of type LoadBalancer are given. */
export interface AddressPool {
  readonly name: string;
  readonly ranges: readonly AddressRange[];
  /** Services get an address of it without asking for it. */
  readonly isAutomatic: boolean;
  /** IPv4 addresses that end in .0 and .255 are left out: some routers drop packets to them. */
  readonly avoidsEdges: boolean;
  /** Namespaces whose Services it is for; none: all. */
  readonly namespaces: readonly string[];
  /** Of several pools that fit the one with the lowest is taken. */
  readonly priority: number;
}

/** Pools that can be used, and what is wrong with the others. */
export interface CheckedPools {
  readonly pools: readonly AddressPool[];
  readonly problems: readonly string[];
}

/** Reads `192.0.2.0/28` or `192.0.2.10-192.0.2.20`; undefined for anything else. */
export function parseRange(text: string): AddressRange | undefined {
  const cidr = tryParseCidr(text.trim());
  if (cidr !== undefined) return { first: networkAddress(cidr), last: lastAddress(cidr) };
  const [first, last, more] = text.split('-').map((part) => tryParseIP(part.trim()));
  if (first === undefined || last === undefined || more !== undefined) return undefined;
  if (ipFamily(first) !== ipFamily(last) || compareIP(first, last) > 0) return undefined;
  return { first, last };
}

function rangeFamily({ first }: AddressRange): IPFamily {
  return ipFamily(first);
}

function isInRange({ first, last }: AddressRange, ip: IP): boolean {
  if (ipFamily(ip) !== ipFamily(first)) return false;
  return compareIP(first, ip) <= 0 && compareIP(ip, last) <= 0;
}

/** How many addresses there are to give. */
export function poolSize(pool: AddressPool): bigint {
  return pool.ranges.reduce((sum, { first, last }) => {
    return sum + ipToBigInt(last) - ipToBigInt(first) + 1n;
  }, 0n);
}

/** The addresses of a family that can be given, in order. */
export function* addressesOf(pool: AddressPool, family: IPFamily): Generator<IP> {
  for (const range of pool.ranges) {
    if (rangeFamily(range) !== family) continue;
    const last = ipToBigInt(range.last);
    for (let value = ipToBigInt(range.first); value <= last; value++) {
      const ip = ipFromBigInt(family, value);
      if (isUsable(pool, ip)) yield ip;
    }
  }
}

function isUsable({ avoidsEdges }: AddressPool, ip: IP): boolean {
  return !(avoidsEdges && ipFamily(ip) === 4 && /\.(?:0|255)$/.test(ip));
}

/** Whether a Service may have this address of the pool when it asks for it. */
export function holds(pool: AddressPool, ip: IP): boolean {
  return pool.ranges.some((range) => isInRange(range, ip));
}

/**
 * Pools without those that would take addresses of somebody else: of networks of pods or Services, of
 * another pool, or such as no Service can have. Of two that overlap the first by name stays.
 */
export function checkPools(
  pools: readonly AddressPool[],
  taken: readonly { readonly cidr: Cidr; readonly what: string }[],
): CheckedPools {
  const good: AddressPool[] = [];
  const problems: string[] = [];
  for (const pool of pools.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const reason = pool.ranges.map((range) => reasonAgainst(range, good, taken)).find(Boolean);
    if (reason === undefined) good.push(pool);
    else problems.push(`address pool ${pool.name} is not used: ${reason}`);
  }
  return { pools: good, problems };
}

function reasonAgainst(
  range: AddressRange,
  pools: readonly AddressPool[],
  taken: readonly { readonly cidr: Cidr; readonly what: string }[],
): string | undefined {
  const text = `${range.first}-${range.last}`;
  const special = specialKind(range.first) ?? specialKind(range.last);
  if (special !== undefined) return `${text} has ${special} addresses`;
  const network = taken.find(({ cidr }) => {
    if (cidrFamily(cidr) !== rangeFamily(range)) return false;
    return overlap(range, { first: networkAddress(cidr), last: lastAddress(cidr) });
  });
  if (network !== undefined) return `${text} overlaps ${network.cidr}, ${network.what}`;
  const other = pools.find(({ ranges }) => ranges.some((each) => overlap(each, range)));
  return other && `${text} overlaps pool ${other.name}: give each address to one of them`;
}

function overlap(a: AddressRange, b: AddressRange): boolean {
  if (rangeFamily(a) !== rangeFamily(b)) return false;
  return compareIP(a.first, b.last) <= 0 && compareIP(b.first, a.last) <= 0;
}
