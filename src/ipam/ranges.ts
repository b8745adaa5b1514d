import { type Cidr, cidrFamily, containsIP, lastAddress, networkAddress } from '../net/cidr.ts';
import {
  compareIP,
  type IP,
  type IPFamily,
  ipFamily,
  ipFromBigInt,
  ipToBigInt,
} from '../net/ip.ts';

/** Addresses of one network that may be handed out: `start` to `end`, both included. */
export interface IPRange {
  readonly subnet: Cidr;
  readonly start: IP;
  readonly end: IP;
  /** Never handed out. It need not lie in the subnet, nor even be of its family. */
  readonly gateway: IP;
}

/** Alternatives of one family for one address of the result. */
export type RangeSet = readonly IPRange[];

export interface Candidate {
  readonly address: IP;
  readonly range: IPRange;
}

/** The range of `set` that holds `address`. */
export function rangeFor(set: RangeSet, address: IP): IPRange | undefined {
  return set.find((range) => rangeContains(range, address));
}

export function rangeContains(range: IPRange, address: IP): boolean {
  return (
    containsIP(range.subnet, address) &&
    compareIP(range.start, address) <= 0 &&
    compareIP(address, range.end) <= 0
  );
}

/** True when some address lies in a range of both sets. */
export function rangeSetsOverlap(a: RangeSet, b: RangeSet): boolean {
  return a.some((left) => b.some((right) => rangesOverlap(left, right)));
}

export function rangesOverlap(a: IPRange, b: IPRange): boolean {
  return (
    cidrFamily(a.subnet) === cidrFamily(b.subnet) &&
    compareIP(a.start, b.end) <= 0 &&
    compareIP(b.start, a.end) <= 0
  );
}

/** `10.1.2.3-10.1.2.9`, sets joined with commas: the form of host-local's messages. */
export function formatRangeSet(set: RangeSet): string {
  return set.map((range) => `${range.start}-${range.end}`).join(',');
}

/** First address that is not the network's own. */
export function defaultStart(subnet: Cidr): IP {
  return ipFromBigInt(cidrFamily(subnet), ipToBigInt(networkAddress(subnet)) + 1n);
}

/** Last address, which in IPv4 is the one before the broadcast address. */
export function defaultEnd(subnet: Cidr): IP {
  const last = lastAddress(subnet);
  return ipFamily(last) === 4 ? ipFromBigInt(4, ipToBigInt(last) - 1n) : last;
}

/**
 * Every address of the set once, gateways left out, in host-local's round robin: from the one
 * after `lastReserved` through the following ranges and round to `lastReserved` itself. Without
 * `lastReserved`, or when it is no longer in the set, from the first address.
 */
export function* candidates(set: RangeSet, lastReserved: IP | undefined): Generator<Candidate> {
  const firstIndex =
    lastReserved === undefined ? -1 : set.findIndex((range) => rangeContains(range, lastReserved));
  const first = set[firstIndex];
  if (first === undefined || lastReserved === undefined) {
    for (const range of set) yield* addresses(range, range.start, range.end);
    return;
  }
  const last = ipToBigInt(lastReserved);
  const family = ipFamily(lastReserved);
  if (lastReserved !== first.end) yield* span(first, family, last + 1n, ipToBigInt(first.end));
  for (let step = 1; step < set.length; step++) {
    const range = set[(firstIndex + step) % set.length];
    if (range !== undefined) yield* addresses(range, range.start, range.end);
  }
  yield* span(first, family, ipToBigInt(first.start), last);
}

function addresses(range: IPRange, start: IP, end: IP): Generator<Candidate> {
  return span(range, ipFamily(start), ipToBigInt(start), ipToBigInt(end));
}

function* span(range: IPRange, family: IPFamily, start: bigint, end: bigint): Generator<Candidate> {
  for (let value = start; value <= end; value++) {
    const address = ipFromBigInt(family, value);
    if (address !== range.gateway) yield { address, range };
  }
}
