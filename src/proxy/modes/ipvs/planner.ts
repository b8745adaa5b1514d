import type { IpvsChange, VirtualServer } from '../../../kernel/ipvs-types.ts';
import type { IP } from '../../../net/ip.ts';
import { inTurns } from '../../../util/turns.ts';
import { destinationKey, serverDifference } from './difference.ts';
import { Draining, idleDifference } from './draining.ts';
import { portalEntry } from './fragment.ts';
import type { KnownState } from './known.ts';
import { portalOf, serverKeyOf, type WantedServer } from './model.ts';
import type { Scheduling } from './schedulers.ts';
import { entryKey, type SetEntry } from './sets.ts';
import { type Touched, WantedState } from './wanted.ts';

/** What makes the kernel as it is wanted. Added entries come first and removed ones last. */
export interface Changes {
  readonly addedEntries: SetEntry[];
  readonly removedEntries: SetEntry[];
  readonly ipvs: IpvsChange[];
  readonly addedAddresses: IP[];
  readonly removedAddresses: IP[];
}

export interface PlannerOptions {
  /** What the kernel holds; a plan makes it what the kernel will hold. */
  readonly known: KnownState;
  /** Which of these, the best first, the kernel has. */
  readonly chooseScheduling: (schedulings: readonly Scheduling[]) => Scheduling;
}

/** Compares what is wanted with what is known. Reads and writes nothing but `known`. */
export class Planner {
  readonly wanted = new WantedState();
  readonly draining = new Draining();
  readonly #options: PlannerOptions;
  #otherAddresses: ReadonlySet<IP> = new Set();

  constructor(options: PlannerOptions) {
    this.#options = options;
  }

  /** Addresses on other links: packets for them are this node's already. */
  setOtherAddresses(others: ReadonlySet<IP>): void {
    const before = this.#otherAddresses;
    this.#otherAddresses = others;
    for (const ip of others) if (!before.has(ip)) this.wanted.touchAddress(ip);
    for (const ip of before) if (!others.has(ip)) this.wanted.touchAddress(ip);
  }

  /**
   * For what differs since the last plan; `isAll`: for everything that is wanted or known. The event
   * loop has turns in between.
   */
  async plan(isAll: boolean): Promise<Changes> {
    const touched = this.wanted.takeTouched();
    const changes = noChanges();
    const { known } = this.#options;
    if (isAll) for (const key of known.servers.keys()) touched.servers.add(key);
    await inTurns(touched.servers, (key) => this.#planServer(key, touched, changes));
    if (isAll) for (const ip of known.addresses) touched.addresses.add(ip);
    await inTurns(touched.addresses, (ip) => this.#planAddress(ip, changes));
    await inTurns(touched.entries, (key) => this.#planEntry(key, changes));
    if (isAll) {
      const dropUnneeded = ([key, entry]: readonly [string, SetEntry]) => {
        if (!this.#isEntryNeeded(key, entry)) this.#removeEntry(entry, changes);
      };
      await inTurns([...known.allEntries()], dropUnneeded);
    }
    return changes;
  }

  /** The destinations of a draining server have been looked at. */
  planIdle(key: string, observed: Parameters<typeof idleDifference>[2], changes: Changes): void {
    const { known } = this.#options;
    const before = known.servers.get(key);
    if (before === undefined) {
      this.draining.delete(key);
      return;
    }
    const wanted = this.wanted.server(key);
    const wantedKeys = wanted && new Set(wanted.destinations.map(destinationKey));
    const difference = idleDifference(before, wantedKeys, observed);
    changes.ipvs.push(...difference.changes);
    const left = difference.known;
    if (left !== undefined) {
      known.servers.set(key, left);
      const isDrained = [...left.destinations.keys()].every((each) => wantedKeys?.has(each));
      if (isDrained) this.draining.delete(key);
      return;
    }
    const portal = portalOf(before.server.key);
    known.servers.delete(key);
    this.draining.delete(key);
    this.#removeEntry(portalEntry('server', portal), changes);
    this.#planAddress(portal.ip, changes);
  }

  #planServer(key: string, touched: Touched, changes: Changes): void {
    const { known } = this.#options;
    const wanted = this.wanted.server(key);
    const before = known.servers.get(key);
    const portal = wanted?.portal ?? (before && portalOf(before.server.key));
    if (portal === undefined) return;
    const difference = serverDifference(portal.protocol, wanted && this.#complete(wanted), before);
    changes.ipvs.push(...difference.changes);
    if (difference.isDraining) this.draining.add(key, portal.ip);
    else this.draining.delete(key);
    if (difference.known === undefined) known.servers.delete(key);
    else known.servers.set(key, difference.known);
    const record = portalEntry('server', portal);
    if (difference.known === undefined) this.#removeEntry(record, changes);
    else this.#addEntry(record, changes);
    touched.addresses.add(portal.ip);
  }

  /** The virtual server as the kernel has it. */
  #complete(wanted: WantedServer): {
    readonly server: VirtualServer;
    readonly destinations: WantedServer['destinations'];
  } {
    const scheduling = this.#options.chooseScheduling(wanted.schedulings);
    const { persistenceSeconds, destinations } = wanted;
    const key = serverKeyOf(wanted.portal);
    return { server: { key, persistenceSeconds, ...scheduling }, destinations };
  }

  #planAddress(ip: IP, changes: Changes): void {
    const { addresses } = this.#options.known;
    const isThere = addresses.has(ip);
    const isHeld = isThere && this.draining.holds(ip);
    const isNeeded = !this.#otherAddresses.has(ip) && (this.wanted.wantsAddress(ip) || isHeld);
    const entry: SetEntry = { role: 'address', entry: { type: 'hash:ip', ip } };
    if (isNeeded) this.#addEntry(entry, changes);
    else this.#removeEntry(entry, changes);
    if (isNeeded === isThere) return;
    if (isNeeded) addresses.add(ip);
    else addresses.delete(ip);
    (isNeeded ? changes.addedAddresses : changes.removedAddresses).push(ip);
  }

  #planEntry(key: string, changes: Changes): void {
    const wanted = this.wanted.entry(key);
    const known = this.#options.known.entry(key);
    if (wanted !== undefined) this.#addEntry(wanted, changes);
    else if (known !== undefined) this.#removeEntry(known, changes);
  }

  #isEntryNeeded(key: string, entry: SetEntry): boolean {
    const { known } = this.#options;
    if (entry.entry.type === 'hash:ip') return known.addresses.has(entry.entry.ip);
    if (entry.role === 'server') return known.hasServerAt(entry);
    return this.wanted.entry(key) !== undefined;
  }

  #addEntry(entry: SetEntry, changes: Changes): void {
    if (this.#options.known.addEntry(entryKey(entry), entry)) changes.addedEntries.push(entry);
  }

  #removeEntry(entry: SetEntry, changes: Changes): void {
    if (this.#options.known.removeEntry(entryKey(entry), entry)) changes.removedEntries.push(entry);
  }
}

export function noChanges(): Changes {
  return {
    addedEntries: [],
    removedEntries: [],
    ipvs: [],
    addedAddresses: [],
    removedAddresses: [],
  };
}
