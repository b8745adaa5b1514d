import { type IPWithPrefix, ipWithPrefix, prefixLength } from '../net/cidr.ts';
import { type IP, tryParseIP } from '../net/ip.ts';
import { BusyError, ConfigError, WeftError } from '../util/errors.ts';
import { candidates, formatRangeSet, type IPRange, type RangeSet, rangeFor } from './ranges.ts';
import type { Owner } from './reservations.ts';
import type { ReservationStore, StoreSession } from './store.ts';

/** One entry of `ips` in a CNI result. */
export interface AllocatedAddress {
  readonly address: IPWithPrefix;
  readonly gateway: IP;
}

export interface AddressRequest extends Owner {
  /** Addresses that must be given, each out of some range set. */
  readonly requested: readonly IP[];
  /**
   * Whether an address that this very owner has already is a leftover, which it may keep. Absent:
   * it never is, and allocation fails.
   */
  readonly isLeftover?: (address: IP) => boolean;
}

/** The attachment already has an address; whether it is a leftover is for the caller to find out. */
export class DuplicateAllocationError extends WeftError {
  readonly address: IP;

  constructor(message: string, address: IP) {
    super('DUPLICATE', message);
    this.address = address;
  }
}

/**
 * Takes one address out of every range set, in their order, under one lock; whatever fails, what
 * this call took is free again. Throws DuplicateAllocationError, BusyError (exhausted, a requested
 * address taken, lock not got) and ConfigError (request that no range set can serve), with
 * host-local's messages.
 */
export function allocate(
  rangeSets: readonly RangeSet[],
  store: ReservationStore,
  request: AddressRequest,
): AllocatedAddress[] {
  return store.transact((session) => {
    const taken: IP[] = [];
    try {
      return allocateAll(rangeSets, session, request, taken);
    } catch (error) {
      session.releaseAddresses(taken);
      throw error;
    }
  });
}

/**
 * Frees what the attachment has and gives the addresses; nothing to free is fine, and so is a
 * network without a directory. Throws IoError when a file resists.
 */
export function release(store: ReservationStore, owner: Owner): IP[] {
  return store.transactExisting((session) => session.release(owner)) ?? [];
}

/** The addresses of the attachment, for CHECK. */
export function reservedAddresses(store: ReservationStore, owner: Owner): IP[] {
  const reservations = store.transactExisting((session) => session.reservationsOf(owner)) ?? [];
  return reservations.map(({ address }) => address);
}

function allocateAll(
  rangeSets: readonly RangeSet[],
  session: StoreSession,
  request: AddressRequest,
  taken: IP[],
): AllocatedAddress[] {
  const open = new Set(request.requested);
  const allocated = rangeSets.map((set, index) => {
    const wanted = [...open].find((address) => rangeFor(set, address) !== undefined);
    if (wanted !== undefined) open.delete(wanted);
    const failed = `failed to allocate for range ${index}`;
    const { address, range } =
      wanted === undefined
        ? takeNext({ set, index, failed }, session, request)
        : takeRequested({ set, index, failed }, session, request, wanted);
    taken.push(address);
    return { address: ipWithPrefix(address, prefixLength(range.subnet)), gateway: range.gateway };
  });
  if (open.size > 0) {
    const rest = [...open].join(' ');
    throw new ConfigError('ips', `failed to allocate all requested IPs: ${rest}`);
  }
  return allocated;
}

interface Attempt {
  readonly set: RangeSet;
  readonly index: number;
  /** How the message of a failure begins. */
  readonly failed: string;
}

interface Taken {
  readonly address: IP;
  readonly range: IPRange;
}

function takeRequested(
  { set, index, failed }: Attempt,
  session: StoreSession,
  request: AddressRequest,
  address: IP,
): Taken {
  const range = rangeFor(set, address);
  if (range === undefined || address === range.gateway) {
    throw new ConfigError('ips', `${failed}: requested ip ${address} is subnet's gateway`);
  }
  const isOwn = session.reservationsOf(request).some((own) => own.address === address);
  if (isOwn && request.isLeftover?.(address)) session.releaseAddresses([address]);
  if (!session.reserve(address, request, index)) {
    throw new BusyError(
      `${failed}: requested IP address ${address} is not available in range set ${formatRangeSet(set)}`,
    );
  }
  return { address, range };
}

function takeNext(
  { set, index, failed }: Attempt,
  session: StoreSession,
  request: AddressRequest,
): Taken {
  const duplicate = takeOver({ set, index, failed }, session, request);
  if (duplicate !== undefined) return duplicate;
  const lastReserved = tryParseIP(session.lastReserved(index) ?? '');
  const resting = session.resting();
  let longestAtRest: Taken | undefined;
  for (const candidate of candidates(set, lastReserved)) {
    const restingSince = resting.get(candidate.address);
    if (restingSince === undefined) {
      if (session.reserve(candidate.address, request, index)) return candidate;
    } else if (!session.isTaken(candidate.address)) {
      const since = longestAtRest && resting.get(longestAtRest.address);
      if (since === undefined || restingSince < since) longestAtRest = candidate;
    }
  }
  // Better an address that has not rested than a pod that does not start.
  if (longestAtRest !== undefined && session.reserve(longestAtRest.address, request, index)) {
    return longestAtRest;
  }
  throw new BusyError(`${failed}: no IP addresses available in range set: ${formatRangeSet(set)}`);
}

/** What the owner has of this set already: taken over when it is a leftover, else an error. */
function takeOver(
  { set, index, failed }: Attempt,
  session: StoreSession,
  request: AddressRequest,
): Taken | undefined {
  for (const { address } of session.reservationsOf(request)) {
    const range = rangeFor(set, address);
    if (range === undefined) continue;
    if (!request.isLeftover?.(address)) {
      throw new DuplicateAllocationError(
        `${failed}: ${address} has been allocated to ${request.containerId}, duplicate allocation is not allowed`,
        address,
      );
    }
    session.releaseAddresses([address]);
    if (address !== range.gateway && session.reserve(address, request, index)) {
      return { address, range };
    }
  }
  return undefined;
}
