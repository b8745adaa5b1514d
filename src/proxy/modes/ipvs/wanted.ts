import type { IP } from '../../../net/ip.ts';
import { type IpvsPart, portalKey, type WantedServer } from './model.ts';
import { entryKey, type SetEntry } from './sets.ts';

/** What differs since the last time it was asked for, by the keys of portals and entries. */
export interface Touched {
  readonly servers: Set<string>;
  readonly entries: Set<string>;
  readonly addresses: Set<IP>;
}

interface Counted {
  readonly entry: SetEntry;
  count: number;
}

/**
 * What all Services together want of the kernel. Several may want the same entry or address; of two
 * that want a virtual server at one portal, the one that names the address has it.
 */
export class WantedState {
  readonly #services = new Map<string, IpvsPart>();
  readonly #servers = new Map<string, readonly WantedServer[]>();
  readonly #entries = new Map<string, Counted>();
  readonly #addresses = new Map<IP, number>();
  #touched: Touched = nothingTouched();

  /** Replaces what a Service wants; undefined when it is gone. */
  update(service: string, fragment: IpvsPart | undefined): void {
    const before = this.#services.get(service);
    if (fragment === undefined) this.#services.delete(service);
    else this.#services.set(service, fragment);
    for (const server of fragment?.servers ?? []) this.#addServer(server);
    for (const entry of fragment?.entries ?? []) this.#addEntry(entry);
    for (const ip of fragment?.addresses ?? []) this.#countAddress(ip, 1);
    for (const server of before?.servers ?? []) this.#removeServer(server);
    for (const entry of before?.entries ?? []) this.#removeEntry(entry);
    for (const ip of before?.addresses ?? []) this.#countAddress(ip, -1);
  }

  fragment(service: string): IpvsPart | undefined {
    return this.#services.get(service);
  }

  services(): Iterable<string> {
    return this.#services.keys();
  }

  server(key: string): WantedServer | undefined {
    const claims = this.#servers.get(key) ?? [];
    return claims.find(({ isNodePort }) => !isNodePort) ?? claims[0];
  }

  entry(key: string): SetEntry | undefined {
    return this.#entries.get(key)?.entry;
  }

  wantsAddress(ip: IP): boolean {
    return this.#addresses.has(ip);
  }

  /** Whether a link needs it depends on something else as well. */
  touchAddress(ip: IP): void {
    this.#touched.addresses.add(ip);
  }

  takeTouched(): Touched {
    const touched = this.#touched;
    this.#touched = nothingTouched();
    return touched;
  }

  #addServer(server: WantedServer): void {
    const key = portalKey(server.portal);
    this.#servers.set(key, [...(this.#servers.get(key) ?? []), server]);
    this.#touched.servers.add(key);
  }

  #removeServer(server: WantedServer): void {
    const key = portalKey(server.portal);
    const left = (this.#servers.get(key) ?? []).filter((each) => each !== server);
    if (left.length === 0) this.#servers.delete(key);
    else this.#servers.set(key, left);
    this.#touched.servers.add(key);
  }

  #addEntry(entry: SetEntry): void {
    const key = entryKey(entry);
    const known = this.#entries.get(key);
    if (known !== undefined) known.count += 1;
    else this.#entries.set(key, { entry, count: 1 });
    this.#touched.entries.add(key);
  }

  #removeEntry(entry: SetEntry): void {
    const key = entryKey(entry);
    const known = this.#entries.get(key);
    if (known === undefined) return;
    known.count -= 1;
    if (known.count === 0) this.#entries.delete(key);
    this.#touched.entries.add(key);
  }

  #countAddress(ip: IP, difference: number): void {
    const count = (this.#addresses.get(ip) ?? 0) + difference;
    if (count === 0) this.#addresses.delete(ip);
    else this.#addresses.set(ip, count);
    this.#touched.addresses.add(ip);
  }
}

function nothingTouched(): Touched {
  return { servers: new Set(), entries: new Set(), addresses: new Set() };
}
