/** A ServicePort, as endpoints that have no names of their own need it. */
export interface NamedPort {
  /** `namespace/name:port` */
  readonly name: string;
  /** Register bytes. */
  readonly protocol: string;
}

interface Names {
  readonly frontends: Map<string, NamedPort>;
  readonly affinityIds: Map<number, NamedPort>;
}

/** Which ServicePort frontends and affinity ids belong to, as the last readings have listed them. */
export class PortNames {
  #known = noNames();
  #listed = noNames();

  /** Begins a listing of all there are. */
  begin(): void {
    this.#listed = noNames();
  }

  /** Ends a listing in which nothing was missed. */
  complete(): void {
    this.#known = this.#listed;
  }

  addFrontend(key: string, port: NamedPort): void {
    this.#listed.frontends.set(key, port);
  }

  /** The frontend has to be known already. */
  addAffinityId(id: number, frontend: string): void {
    const port = this.ofFrontend(frontend);
    if (port !== undefined) this.#listed.affinityIds.set(id, port);
  }

  ofFrontend(key: string): NamedPort | undefined {
    return this.#listed.frontends.get(key) ?? this.#known.frontends.get(key);
  }

  ofAffinityId(id: number): NamedPort | undefined {
    return this.#listed.affinityIds.get(id) ?? this.#known.affinityIds.get(id);
  }
}

function noNames(): Names {
  return { frontends: new Map(), affinityIds: new Map() };
}
