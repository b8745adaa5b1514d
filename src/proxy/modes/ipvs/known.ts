import type { IP } from '../../../net/ip.ts';
import type { KnownServer } from './difference.ts';
import { SET_ROLES, type SetEntry, type SetRoleName } from './sets.ts';

/**
 * What the kernel holds of the proxy in one family, as read and written last. It outlives sessions,
 * so that a look from time to time can tell when somebody else has changed it.
 */
export class KnownState {
  /** By portalKey. */
  readonly servers = new Map<string, KnownServer>();
  /** On the link of the proxy. */
  readonly addresses = new Set<IP>();
  /** Entries by entryKey. */
  readonly #sets = new Map<SetRoleName, Map<string, SetEntry>>(
    SET_ROLES.map((role) => [role, new Map()]),
  );
  /** Grows with every change; undefined while it is unknown or being written. */
  #version = 0;
  #isSettled = false;

  /** Which state this is, to tell whether it was the same all the time; undefined: none to rely on. */
  get settledVersion(): number | undefined {
    return this.#isSettled ? this.#version : undefined;
  }

  /** From here on it may be another than the kernel's. */
  unsettle(): void {
    this.#isSettled = false;
  }

  /** It is the kernel's. */
  settle(): void {
    this.#isSettled = true;
    this.#version += 1;
  }

  /** Begins anew, unsettled. */
  clear(): void {
    this.unsettle();
    this.servers.clear();
    this.addresses.clear();
    for (const entries of this.#sets.values()) entries.clear();
  }

  /** The kernel has not taken it. */
  forgetDestination(server: string, destination: string): void {
    const before = this.servers.get(server);
    if (before === undefined) return;
    const destinations = new Map(before.destinations);
    destinations.delete(destination);
    this.servers.set(server, { ...before, destinations });
  }

  entries(role: SetRoleName): ReadonlyMap<string, SetEntry> {
    return this.#setOf(role);
  }

  *allEntries(): Iterable<readonly [key: string, entry: SetEntry]> {
    for (const entries of this.#sets.values()) yield* entries;
  }

  /** Whether there is a virtual server where an entry says. */
  hasServerAt({ entry }: SetEntry): boolean {
    if (entry.type !== 'hash:ip,port') return false;
    return this.servers.has(`${entry.protocol} ${entry.ip} ${entry.port}`);
  }

  /** By entryKey, which begins with the role. */
  entry(key: string): SetEntry | undefined {
    for (const entries of this.#sets.values()) {
      const entry = entries.get(key);
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  /** `false` when it was there. */
  addEntry(key: string, entry: SetEntry): boolean {
    const entries = this.#setOf(entry.role);
    if (entries.has(key)) return false;
    entries.set(key, entry);
    return true;
  }

  /** `false` when it was not there. */
  removeEntry(key: string, { role }: SetEntry): boolean {
    return this.#setOf(role).delete(key);
  }

  #setOf(role: SetRoleName): Map<string, SetEntry> {
    const entries = this.#sets.get(role);
    if (entries === undefined) throw new Error(`no set ${role}`);
    return entries;
  }
}
