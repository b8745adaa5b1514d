/**
 * Which Service has which address, as a pure function of pools, of what Services ask for and of what
 * their status says: the status is the only record there is.
 */
import { type IP, type IPFamily, ipFamily } from '../../net/ip.ts';
import { type AddressPool, addressesOf, holds, poolSize } from './pool.ts';
import type { AddressRequest } from './request.ts';

export interface Allocation {
  /** Addresses by Service; without any for one that can have none. */
  readonly addresses: ReadonlyMap<string, readonly IP[]>;
  /** Why a Service does not have all that it asks for, with the cure. */
  readonly problems: ReadonlyMap<string, string>;
  readonly usage: readonly PoolUsage[];
}

export interface PoolUsage {
  readonly pool: string;
  readonly size: bigint;
  readonly used: number;
  /** The first Services that hold addresses of it. */
  readonly holders: readonly string[];
}

interface Holder {
  readonly sharing: string | undefined;
  readonly isLocal: boolean;
  readonly ports: Set<string>;
  readonly services: string[];
}

const MOST_NAMED = 8;

/**
 * Who has an address keeps it, also one of no pool any more: clients know it, and a pool may be away by
 * mistake. Of the others the older one goes first.
 */
export function allocate(
  pools: readonly AddressPool[],
  requests: readonly AddressRequest[],
): Allocation {
  const book = new AddressBook(pools);
  const byAge = requests.toSorted(compareAge);
  const addresses = new Map<string, IP[]>();
  const problems = new Map<string, string>();
  for (const request of byAge) {
    const { kept, problem } = book.keep(request);
    addresses.set(request.service, kept);
    if (problem !== undefined) problems.set(request.service, problem);
  }
  for (const request of byAge) {
    const own = addresses.get(request.service) ?? [];
    const missing = request.families.filter((family) => !own.some((ip) => ipFamily(ip) === family));
    for (const family of request.problem === undefined ? missing : []) {
      const found = book.find(request, family);
      if (typeof found === 'string') problems.set(request.service, found);
      else own.push(found.ip);
    }
    if (request.problem !== undefined) problems.set(request.service, request.problem);
    addresses.set(request.service, inOrder(own, request.families));
  }
  return { addresses, problems, usage: book.usage() };
}

function inOrder(ips: readonly IP[], families: readonly IPFamily[]): IP[] {
  const place = (ip: IP) => families.indexOf(ipFamily(ip));
  return ips.toSorted((a, b) => place(a) - place(b));
}

function compareAge(a: AddressRequest, b: AddressRequest): number {
  const [one, other] = [a, b].map(({ createdAt, service }) => `${createdAt} ${service}`);
  return (one ?? '') < (other ?? '') ? -1 : 1;
}

interface ShareableAddresses {
  readonly addresses: IP[];
  /** By port: all addresses before this one have it. */
  readonly firstWithout: Map<string, number>;
}

/** Who holds what while an allocation is made. */
class AddressBook {
  readonly #pools: readonly AddressPool[];
  readonly #holders = new Map<IP, Holder>();
  /** Addresses that more Services can share, by family and key. */
  readonly #shareable = new Map<string, ShareableAddresses>();
  /** Where the next free address of a pool is looked for: nothing is given back meanwhile. */
  readonly #cursors = new Map<string, Generator<IP>>();
  /** Why there is none: the same for thousands of Services that wait. */
  readonly #said = new Map<string, string>();

  constructor(pools: readonly AddressPool[]) {
    this.#pools = pools.toSorted((a, b) => a.priority - b.priority || (a.name < b.name ? -1 : 1));
  }

  /** The addresses of its status that it may go on having. */
  keep(request: AddressRequest): { readonly kept: IP[]; readonly problem: string | undefined } {
    const kept: IP[] = [];
    let problem: string | undefined;
    for (const ip of request.problem === undefined ? request.held : []) {
      const isRepeated = kept.some((other) => ipFamily(other) === ipFamily(ip));
      const { wanted, families } = request;
      const isWanted = wanted.length === 0 || wanted.includes(ip) || !hasFamily(wanted, ip);
      if (isRepeated || !isWanted || !families.includes(ipFamily(ip))) continue;
      const pool = this.#poolOf(ip);
      // Only what it says itself moves a Service.
      if (request.pool !== undefined && pool !== undefined && pool.name !== request.pool) continue;
      if (this.#take(ip, request) !== undefined) continue;
      kept.push(ip);
      const whyNot = pool === undefined ? 'no address pool has it' : whyNotOf(pool, request);
      if (whyNot !== undefined) problem = `it keeps ${ip}, although ${whyNot}`;
    }
    return { kept, problem };
  }

  /** An address of this family, or why there is none. */
  find(request: AddressRequest, family: IPFamily): { readonly ip: IP } | string {
    const ip = request.wanted.find((each) => ipFamily(each) === family);
    if (ip !== undefined) return this.#named(ip, request);
    if (request.pool !== undefined && !this.#pools.some(({ name }) => name === request.pool)) {
      return `there is no address pool ${request.pool}`;
    }
    const usable = this.#pools.filter((pool) => {
      const isAsked = pool.isAutomatic || request.pool === pool.name;
      return isAsked && whyNotOf(pool, request) === undefined && pool.ranges.some(isOf(family));
    });
    const shared = this.#shared(request, family, usable);
    if (shared !== undefined) return { ip: shared };
    for (const pool of usable) {
      const free = this.#free(pool, family);
      if (free === undefined) continue;
      this.#take(free, request);
      return { ip: free };
    }
    return this.#exhausted(family, usable);
  }

  usage(): readonly PoolUsage[] {
    return this.#pools.map((pool) => {
      const held = [...this.#holders].filter(([ip]) => holds(pool, ip));
      const holders = held.flatMap(([, { services }]) => services).toSorted();
      return {
        ...{ pool: pool.name, size: poolSize(pool), used: held.length },
        holders: holders.slice(0, MOST_NAMED),
      };
    });
  }

  #named(ip: IP, request: AddressRequest): { readonly ip: IP } | string {
    const pool = this.#poolOf(ip);
    if (pool === undefined) return `${ip} is in no address pool`;
    return whyNotOf(pool, request) ?? this.#take(ip, request) ?? { ip };
  }

  #poolOf(ip: IP): AddressPool | undefined {
    return this.#pools.find((pool) => holds(pool, ip));
  }

  /** Notes the holder; gives why it cannot be one. */
  #take(ip: IP, { service, sharing, ports, isLocal }: AddressRequest): string | undefined {
    const holder = this.#holders.get(ip);
    if (holder === undefined) {
      this.#holders.set(ip, { sharing, isLocal, ports: new Set(ports), services: [service] });
      if (sharing !== undefined && !isLocal) this.#noteShareable(ip, sharing);
      return undefined;
    }
    const who = holder.services.slice(0, MOST_NAMED).join(', ');
    if (sharing === undefined || sharing !== holder.sharing) {
      return `${ip} is held by ${who}; to share it both need the same annotation weft.dev/share-address`;
    }
    const twice = ports.find((port) => holder.ports.has(port));
    if (twice !== undefined) return `${ip} is shared with ${who}, which uses port ${twice} already`;
    if (isLocal || holder.isLocal) {
      return `${ip} is shared with ${who}: with externalTrafficPolicy Local an address cannot be shared`;
    }
    for (const port of ports) holder.ports.add(port);
    holder.services.push(service);
    return undefined;
  }

  /** An address that others with the same key have, and this one fits beside. */
  #shared(
    request: AddressRequest,
    family: IPFamily,
    pools: readonly AddressPool[],
  ): IP | undefined {
    const { sharing, ports, isLocal } = request;
    const those = this.#shareable.get(`${family} ${sharing}`);
    if (those === undefined || isLocal) return undefined;
    const hasNone = (ip: IP) => !ports.some((port) => this.#holders.get(ip)?.ports.has(port));
    const start = Math.max(0, ...ports.map((port) => this.#firstWithout(port, those)));
    for (const ip of those.addresses.slice(start)) {
      const isUsable = hasNone(ip) && pools.some((pool) => holds(pool, ip));
      if (isUsable && this.#take(ip, request) === undefined) return ip;
    }
    return undefined;
  }

  #noteShareable(ip: IP, sharing: string): void {
    const key = `${ipFamily(ip)} ${sharing}`;
    const those: ShareableAddresses = this.#shareable.get(key) ?? {
      addresses: [],
      firstWithout: new Map(),
    };
    those.addresses.push(ip);
    this.#shareable.set(key, those);
  }

  /** Where the first address is that the port is free at: no port is given back meanwhile. */
  #firstWithout(port: string, { addresses, firstWithout }: ShareableAddresses): number {
    const isTaken = (at: number) => {
      const ip = addresses[at];
      return ip !== undefined && this.#holders.get(ip)?.ports.has(port) === true;
    };
    let at = firstWithout.get(port) ?? 0;
    while (isTaken(at)) at++;
    firstWithout.set(port, at);
    return at;
  }

  #free(pool: AddressPool, family: IPFamily): IP | undefined {
    // Of two kinds of pools two may have one name.
    const key = `${this.#pools.indexOf(pool)} ${family}`;
    const cursor = this.#cursors.get(key) ?? addressesOf(pool, family);
    this.#cursors.set(key, cursor);
    for (let next = cursor.next(); next.done !== true; next = cursor.next()) {
      if (!this.#holders.has(next.value)) return next.value;
    }
    return undefined;
  }

  #exhausted(family: IPFamily, usable: readonly AddressPool[]): string {
    if (usable.length === 0) {
      return `no address pool has IPv${family} addresses for it: make one, or correct its namespaces`;
    }
    const names = usable.map(({ name }) => name).join(', ');
    const id = `${family} ${names}`;
    const said = this.#said.get(id);
    if (said !== undefined) return said;
    const holders = this.usage()
      .filter(({ pool }) => usable.some(({ name }) => name === pool))
      .flatMap((usage) => usage.holders)
      .slice(0, MOST_NAMED);
    const words = `no IPv${family} address is left in pool ${names}; held by ${holders.join(', ')}, …`;
    this.#said.set(id, words);
    return words;
  }
}

function hasFamily(ips: readonly IP[], ip: IP): boolean {
  return ips.some((other) => ipFamily(other) === ipFamily(ip));
}

function isOf(family: IPFamily): (range: AddressPool['ranges'][number]) => boolean {
  return ({ first }) => ipFamily(first) === family;
}

function whyNotOf(pool: AddressPool, request: AddressRequest): string | undefined {
  if (request.pool !== undefined && request.pool !== pool.name) {
    return `it asks for pool ${request.pool}, and the address is of pool ${pool.name}`;
  }
  if (pool.namespaces.length === 0 || pool.namespaces.includes(request.namespace)) return undefined;
  return `address pool ${pool.name} is not for namespace ${request.namespace}`;
}
