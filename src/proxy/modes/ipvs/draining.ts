import type { IpvsChange, ObservedDestination } from '../../../kernel/ipvs-types.ts';
import type { IP } from '../../../net/ip.ts';
import { destinationKey, type KnownServer } from './difference.ts';

/** Syncs may follow each other faster. By then a connection that was on its way is counted, too. */
const INTERVAL_MS = 1_000;
/** Each is a question to the kernel; the others are asked about the next time. */
const MOST_AT_ONCE = 200;

/** Virtual servers with destinations that nobody wants and that may have connections. */
export class Draining {
  readonly #servers = new Map<string, { readonly ip: IP; readonly sinceMs: number | undefined }>();
  readonly #held = new Map<IP, number>();
  #notBeforeMs = 0;

  /** Since when is told by the next `due`. */
  add(key: string, ip: IP): void {
    if (this.#servers.has(key)) return;
    this.#servers.set(key, { ip, sinceMs: undefined });
    this.#held.set(ip, (this.#held.get(ip) ?? 0) + 1);
  }

  delete(key: string): void {
    const ip = this.#servers.get(key)?.ip;
    if (ip === undefined) return;
    this.#servers.delete(key);
    const count = (this.#held.get(ip) ?? 0) - 1;
    if (count > 0) this.#held.set(ip, count);
    else this.#held.delete(ip);
  }

  /** Connections run through the address. */
  holds(ip: IP): boolean {
    return this.#held.has(ip);
  }

  /** Those to look at now, each in its turn; `now` in milliseconds. */
  due(now: number): readonly string[] {
    if (now < this.#notBeforeMs) return [];
    this.#notBeforeMs = now + INTERVAL_MS;
    const due: string[] = [];
    for (const [key, { ip, sinceMs }] of [...this.#servers]) {
      if (sinceMs === undefined) this.#servers.set(key, { ip, sinceMs: now });
      else if (now - sinceMs >= INTERVAL_MS && due.length < MOST_AT_ONCE) due.push(key);
    }
    for (const key of due) {
      const entry = this.#servers.get(key);
      this.#servers.delete(key);
      if (entry !== undefined) this.#servers.set(key, entry);
    }
    return due;
  }
}

/**
 * What goes of a virtual server now that its connections are counted: `known` is what is left of it,
 * undefined when nobody wants it and it was the last destination.
 */
export function idleDifference(
  { server, destinations }: KnownServer,
  wanted: ReadonlySet<string> | undefined,
  observed: readonly ObservedDestination[],
): { readonly changes: readonly IpvsChange[]; readonly known: KnownServer | undefined } {
  const busy = new Set(observed.filter(isBusy).map(destinationKey));
  const isKept = (key: string) => busy.has(key) || wanted?.has(key) === true;
  const left = new Map([...destinations].filter(([key]) => isKept(key)));
  if (left.size === 0 && wanted === undefined) {
    return { changes: [{ op: 'deleteServer', key: server.key }], known: undefined };
  }
  const changes = Array.from(destinations)
    .filter(([key]) => !isKept(key))
    .map(([, destination]): IpvsChange => {
      return { op: 'deleteDestination', key: server.key, destination };
    });
  return { changes, known: { server, destinations: left } };
}

/** Clients that are only bound to it find another one. */
export function isBusy({ activeConnections, inactiveConnections }: ObservedDestination): boolean {
  return activeConnections + inactiveConnections > 0;
}
