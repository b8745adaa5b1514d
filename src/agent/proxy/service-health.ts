import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { type IPFamily, ipFamily } from '../../net/ip.ts';
import {
  answerServiceHealth,
  type HealthListener,
  type ServiceHealthCheck,
} from '../../proxy/health.ts';
import type { Logger } from '../../util/log.ts';
import type { Seats } from '../../util/seats.ts';
import { formatHostPort } from '../config/host-port.ts';
import { connectionSeats, createBoundedServer } from '../http/bounded-server.ts';
import { send } from '../http/http.ts';
import type { EventSink } from '../objects/events.ts';

export interface ServiceHealthOptions {
  /** Whether the proxy keeps up; asked for each answer. */
  readonly isProxyHealthy: () => boolean;
  readonly nodeName: string;
  readonly events: EventSink;
  /** Connections at once, to the health ports of all Services together. */
  readonly most: number;
  /** Sockets that listen at once; whoever comes later waits until one is free. */
  readonly mostPorts: number;
  readonly log: Logger;
}

interface OpenServer {
  readonly server: Server;
  /** What it answers now; a port can pass from one Service to another. */
  check: ServiceHealthCheck;
}

/**
 * The servers on healthCheckNodePorts. A port that is taken is tried again whenever the wanted
 * servers are told again, which the proxy does after every sync.
 */
export class ServiceHealthServers {
  readonly #options: ServiceHealthOptions;
  /** By family, then by address and port. */
  readonly #open = new Map<IPFamily, Map<string, OpenServer>>();
  /** Where listening failed and nothing was said since. */
  readonly #failed = new Set<string>();
  readonly #seats: Seats<Socket>;

  constructor(options: ServiceHealthOptions) {
    this.#options = options;
    this.#seats = connectionSeats(options.most);
  }

  /** Closes what is not among the wanted servers of a family and opens what is missing. */
  update(family: IPFamily, wanted: readonly HealthListener[]): void {
    const open = this.#open.get(family) ?? new Map<string, OpenServer>();
    this.#open.set(family, open);
    const byPlace = new Map(wanted.map((listener) => [placeOf(listener), listener]));
    for (const [place, { server }] of open) {
      if (byPlace.has(place)) continue;
      open.delete(place);
      closeServer(server);
    }
    for (const [place, listener] of byPlace) {
      const present = open.get(place);
      if (present !== undefined) present.check = listener.check;
      else if (this.#ports < this.#options.mostPorts) this.#listen(open, place, listener);
      else this.#report(place, listener.check, this.#noRoom);
    }
  }

  close(): void {
    for (const open of this.#open.values()) {
      for (const { server } of open.values()) closeServer(server);
    }
    this.#open.clear();
  }

  get #noRoom(): string {
    return `${this.#options.mostPorts} health ports are served already, for want of open files`;
  }

  get #ports(): number {
    return [...this.#open.values()].reduce((sum, { size }) => sum + size, 0);
  }

  #listen(open: Map<string, OpenServer>, place: string, { address, check }: HealthListener): void {
    const server = createBoundedServer((request, response) => {
      const { status, headers, body } = answerServiceHealth(
        entry.check,
        this.#options.isProxyHealthy(),
      );
      const reply = { status, headers, body, contentType: 'application/json' };
      send(response, reply, request.method === 'HEAD');
    }, this.#seats);
    const entry: OpenServer = { server, check };
    open.set(place, entry);
    server.on('error', (error) => {
      // What could not be accepted was lost, the server was not.
      if (server.listening) return;
      if (open.get(place) === entry) open.delete(place);
      this.#report(place, entry.check, error.message);
    });
    server.on('listening', () => {
      this.#failed.delete(place);
      const { namespace, name } = entry.check;
      this.#options.log.info({ service: `${namespace}/${name}`, address: place }, 'health served');
    });
    server.listen({ host: address, port: check.port, ipv6Only: ipFamily(address) === 6 });
  }

  #report(place: string, { namespace, name, port }: ServiceHealthCheck, reason: string): void {
    if (this.#failed.has(place)) return;
    this.#failed.add(place);
    const service = `${namespace}/${name}`;
    const { nodeName } = this.#options;
    this.#options.log.warn({ service, address: place, reason }, 'cannot serve health of service');
    this.#options.events.send({
      about: { kind: 'Service', namespace, name },
      type: 'Warning',
      reason: 'FailedToStartServiceHealthcheck',
      action: 'Listen',
      note: `node ${nodeName} failed to start healthcheck "${service}" on port ${port}: ${reason}`,
    });
  }
}

function placeOf({ address, check }: HealthListener): string {
  return formatHostPort({ host: address, port: check.port });
}

/** Stops listening at once, so that the port can be taken again in the same turn. */
function closeServer(server: Server): void {
  server.close();
  server.closeAllConnections();
}
