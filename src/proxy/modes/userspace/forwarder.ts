import type { IP } from '../../../net/ip.ts';
import { errorCode, toError } from '../../../util/errors.ts';
import type { Frontend } from '../../claims.ts';
import type { ResolvedPort } from '../../state.ts';
import type { NodeWorld, OwnedFrontend } from '../../verdict/world.ts';
import { endpointKey } from './endpoint-choice.ts';
import { frontendsOfPorts, type Place, placesOf } from './places.ts';
import type { Portal } from './portals.ts';
import { type Listener, listenTcp } from './tcp-listener.ts';
import type { ForwarderWorld, Traffic } from './traffic.ts';
import { listenUdp } from './udp-listener.ts';

/** What the verdict needs to know of the node. NodePorts answer on the listed addresses only. */
export interface ForwarderNode extends NodeWorld {
  readonly nodePortIPs: readonly IP[];
  /** The interface a client comes in by; given where that tells pods from other clients. */
  readonly interfaceOf?: (client: IP) => string | undefined;
}

export interface ForwarderOptions {
  readonly traffic: Traffic;
  /** Which frontends it listens for; default: all. */
  readonly isServed?: (frontend: Frontend) => boolean;
  /** Whether places that somebody else holds can be led to other ports; default: they cannot. */
  readonly canRedirect?: () => boolean;
  /** Whether there are descriptors for one socket more; default: there are. */
  readonly hasRoom?: () => boolean;
  /**
   * Called when we cannot listen at a place, once for each reason. `open` tries the place again.
   */
  readonly onFailure: (place: Place, reason: string) => void;
}

interface OpenPlace {
  readonly place: Place;
  readonly listener: Listener;
}

/** Where nobody listens, and why. */
export interface ListenFailure {
  readonly place: Place;
  readonly reason: string;
}

interface KnownService {
  readonly ports: readonly ResolvedPort[];
  places: ReadonlyMap<string, Place>;
}

/** Sockets that are opened at once before the event loop has its turn. */
const OPENED_AT_ONCE = 256;
const ANY_PORT = 0;

/** Listens for the Services of one address family and decides what becomes of each connection. */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #services = new Map<string, KnownService>();
  /** By frontendKey; `#world` looks things up in it. */
  readonly #frontends = new Map<string, OwnedFrontend>();
  /** Where it ought to listen. */
  readonly #wanted = new Map<string, Place>();
  readonly #open = new Map<string, OpenPlace>();
  readonly #failed = new Map<string, ListenFailure>();
  #world: ForwarderWorld | undefined;
  #nodePortIPs: readonly IP[] = [];
  #opening = 0;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** Replaces Services. Each frontend belongs to one of them. */
  update(group: ReadonlyMap<string, readonly ResolvedPort[]>): void {
    for (const [service, ports] of group) {
      this.#endStaleFlows(service, ports);
      this.#withdraw(service);
    }
    for (const [service, ports] of group) {
      if (ports.length === 0) continue;
      for (const [key, frontend] of frontendsOfPorts(ports)) this.#frontends.set(key, frontend);
      const known = { ports, places: new Map() };
      this.#services.set(service, known);
      this.#place(known);
    }
  }

  /** What it serves of a Service. */
  portsOf(service: string): readonly ResolvedPort[] {
    return this.#services.get(service)?.ports ?? [];
  }

  /** Forgets all Services but these. */
  retain(services: ReadonlySet<string>): void {
    const gone = [...this.#services.keys()].filter((service) => !services.has(service));
    this.update(new Map(gone.map((service) => [service, []])));
  }

  /** Uses these addresses of the node from now on. */
  follow(node: ForwarderNode): void {
    this.#world = { ...node, frontends: this.#frontends, clusterIPs: new Map() };
    if (node.nodePortIPs.join() === this.#nodePortIPs.join()) return;
    this.#nodePortIPs = node.nodePortIPs;
    this.#wanted.clear();
    for (const known of this.#services.values()) this.#place(known);
  }

  /**
   * Addresses that must stay on the node: those of all Services, also where connections are
   * refused, and those that open connections use.
   */
  *virtualAddresses(): Iterable<IP> {
    for (const { resolved } of this.#frontends.values()) {
      if (resolved.frontend.kind !== 'nodePort') yield resolved.frontend.ip;
    }
    yield* this.#options.traffic.addresses();
  }

  /** Opens the listeners that are missing. Resolves when all of them are open or have failed. */
  async open(): Promise<void> {
    const missing = [...this.#wanted].filter(([key]) => !this.#open.has(key));
    for (let at = 0; at < missing.length; at += OPENED_AT_ONCE) {
      const part = missing.slice(at, at + OPENED_AT_ONCE);
      await Promise.all(part.map(([key, place]) => this.#listen(key, place)));
    }
  }

  /** Closes listeners that are no longer wanted. Accepted connections go on. */
  closeUnwanted(): void {
    for (const [key, { listener }] of this.#open) {
      if (this.#wanted.has(key)) continue;
      this.#open.delete(key);
      listener.close();
    }
    for (const key of this.#failed.keys()) if (!this.#wanted.has(key)) this.#failed.delete(key);
  }

  /** Places where we listen on another port than clients use. */
  portals(): readonly Portal[] {
    return [...this.#open.values()].flatMap(({ place, listener: { port } }) =>
      port === place.port ? [] : [{ place, port }],
    );
  }

  /** How many places it listens at, and at how many it cannot. */
  get counts(): { readonly listening: number; readonly failed: number } {
    return { listening: this.#open.size, failed: this.#failed.size };
  }

  /** Why nobody listens at a place. */
  get failures(): Iterable<ListenFailure> {
    return this.#failed.values();
  }

  /** Sockets that listen, or are about to. */
  get sockets(): number {
    return this.#open.size + this.#opening;
  }

  /** Stops listening everywhere. */
  close(): void {
    this.#wanted.clear();
    this.closeUnwanted();
  }

  #withdraw(service: string): void {
    const known = this.#services.get(service);
    if (known === undefined) return;
    this.#services.delete(service);
    // A frontend that another Service has taken over is left alone.
    for (const key of known.places.keys()) {
      if (this.#wanted.get(key)?.service === service) this.#wanted.delete(key);
    }
    for (const key of frontendsOfPorts(known.ports).keys()) {
      if (this.#frontends.get(key)?.owner.port.service === service) this.#frontends.delete(key);
    }
    this.#options.traffic.forget(known.ports.map(({ port }) => port.name));
  }

  #place(known: KnownService): void {
    const { isServed = () => true } = this.#options;
    known.places = placesOf(known.ports, this.#nodePortIPs, isServed);
    for (const [key, place] of known.places) this.#wanted.set(key, place);
  }

  #endStaleFlows(service: string, ports: readonly ResolvedPort[]): void {
    const known = [...ports, ...(this.#services.get(service)?.ports ?? [])];
    if (!known.some(({ port }) => port.protocol === 'udp')) return;
    const serving = ports.flatMap(({ frontends }) =>
      frontends.flatMap(({ route, outside }) => [
        ...route.endpoints,
        ...(outside?.endpoints ?? []),
      ]),
    );
    const keys = serving.map(({ target: { ip }, port }) => endpointKey({ ip, port }));
    this.#options.traffic.endFlows(service, new Set(keys));
  }

  async #listen(key: string, place: Place): Promise<void> {
    const hasRoom = this.#options.hasRoom?.() ?? true;
    this.#opening++;
    try {
      if (!hasRoom) throw new Error('no more open files for listening sockets');
      this.#open.set(key, { place, listener: await this.#bind(key, place) });
      this.#failed.delete(key);
    } catch (thrown) {
      const reason = toError(thrown).message;
      const isKnown = this.#failed.get(key)?.reason === reason;
      this.#failed.set(key, { place, reason });
      if (isKnown) return;
      this.#options.onFailure(place, reason);
    } finally {
      this.#opening--;
    }
  }

  async #bind(key: string, place: Place): Promise<Listener> {
    try {
      return await this.#bindAt(key, place, place.port);
    } catch (thrown) {
      const isTaken = errorCode(thrown) === 'EADDRINUSE';
      if (!isTaken || this.#options.canRedirect?.() !== true) throw thrown;
      return this.#bindAt(key, place, ANY_PORT);
    }
  }

  /** A place can pass from one Service to another without being closed. */
  #bindAt(key: string, place: Place, port: number): Promise<Listener> {
    const { traffic } = this.#options;
    const at = { address: place.address, port };
    const now = () => this.#wanted.get(key) ?? place;
    if (place.protocol === 'tcp') {
      return listenTcp(at, (client) => {
        if (this.#world === undefined) client.destroy();
        else traffic.connect(now(), client, this.#world);
      });
    }
    if (place.protocol === 'sctp') throw new Error('this mode has no sockets for SCTP');
    return listenUdp(at, (packet, client, reply) => {
      if (this.#world !== undefined) {
        traffic.send({ place: now(), client, reply }, packet, this.#world);
      }
    });
  }
}
