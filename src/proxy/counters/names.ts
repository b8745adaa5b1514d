/** A ServicePort, as endpoints that have no names of their own need it. */
export interface NamedPort {
  /** `namespace/name:port` */
  readonly name: string;
  /** Register bytes. */
  readonly protocol: string;
}

interface Entry {
  port: NamedPort;
  /** The listing it was last in. */
  listing: number;
}

/**
 * Which ServicePort frontends and affinity ids belong to, as the last listings have it. There are
 * tens of thousands: one that is listed again leaves no garbage behind.
 */
export class PortNames {
  readonly #frontends = new Map<string, Entry>();
  readonly #affinityIds = new Map<number, Entry>();
  #listing = 0;

  /** Begins a listing of all there are. */
  begin(): void {
    this.#listing++;
  }

  /** Ends a listing in which nothing was missed: what was not in it is forgotten, step by step. */
  *complete(): Generator<void> {
    yield* this.#forget(this.#frontends);
    yield* this.#forget(this.#affinityIds);
  }

  addFrontend(key: string, name: string, protocol: string): void {
    const entry = this.#frontends.get(key);
    if (entry === undefined || entry.port.name !== name) {
      this.#frontends.set(key, { port: { name, protocol }, listing: this.#listing });
    } else {
      entry.listing = this.#listing;
    }
  }

  /** The frontend has to be known already. */
  addAffinityId(id: number, frontend: string): void {
    const port = this.ofFrontend(frontend);
    if (port === undefined) return;
    const entry = this.#affinityIds.get(id);
    if (entry === undefined) {
      this.#affinityIds.set(id, { port, listing: this.#listing });
      return;
    }
    entry.port = port;
    entry.listing = this.#listing;
  }

  ofFrontend(key: string): NamedPort | undefined {
    return this.#frontends.get(key)?.port;
  }

  ofAffinityId(id: number): NamedPort | undefined {
    return this.#affinityIds.get(id)?.port;
  }

  *#forget<K>(entries: Map<K, Entry>): Generator<void> {
    for (const [key, { listing }] of entries) {
      if (listing < this.#listing) entries.delete(key);
      yield;
    }
  }
}
