import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { formatHostPort } from '../../net/host-port.ts';
import { type IPFamily, ipFamily } from '../../net/ip.ts';
import {
  answerServiceHealth,
  type HealthListener,
  type ServiceHealthCheck,
} from '../../proxy/health.ts';
import { summarized } from '../../util/complaints.ts';
import type { Logger } from '../../util/log.ts';
import type { Seats } from '../../util/seats.ts';
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
  /** Sockets that listen at once; namespaces that want few of them are served before those with many. */
  readonly mostPorts: number;
  readonly log: Logger;
}

interface WantedServer extends HealthListener {
  /** `127.0.0.1:30080` */
  readonly place: string;
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
  readonly #wanted = new Map<IPFamily, readonly WantedServer[]>();
  /** By address and port. */
  readonly #open = new Map<string, OpenServer>();
  /** Why nobody listens, by address and port. */
  readonly #failed = new Map<string, string>();
  readonly #seats: Seats<Socket>;

  constructor(options: ServiceHealthOptions) {
    this.#options = options;
    this.#seats = connectionSeats(options.most);
  }

  /** Closes what is not among the wanted servers of a family and opens what is missing. */
  update(family: IPFamily, wanted: readonly HealthListener[]): void {
    const placed = wanted.map((listener) => ({ ...listener, place: placeOf(listener) }));
    this.#wanted.set(family, placed);
    const all = [...this.#wanted.values()].flat();
    const { mostPorts } = this.#options;
    const served = new Set(fairShare(all, mostPorts, ({ place }) => this.#open.has(place)));
    const places = new Set(Array.from(served, ({ place }) => place));
    for (const [place, { server }] of this.#open) {
      if (places.has(place)) continue;
      this.#open.delete(place);
      closeServer(server);
    }
    const named = new Set(all.map(({ place }) => place));
    for (const place of this.#failed.keys()) if (!named.has(place)) this.#failed.delete(place);
    const noRoom = `${mostPorts} health ports are served already, for want of open files`;
    for (const listener of all) {
      const present = this.#open.get(listener.place);
      if (present !== undefined) present.check = listener.check;
      else if (served.has(listener)) this.#listen(listener);
      else this.#report(listener.place, listener.check, noRoom);
    }
  }

  /** What is not served, in words. */
  problems(): readonly string[] {
    return summarized([...this.#failed.values()]);
  }

  close(): void {
    for (const { server } of this.#open.values()) closeServer(server);
    this.#open.clear();
  }

  #listen({ place, address, check }: WantedServer): void {
    const server = createBoundedServer((request, response) => {
      const { status, headers, body } = answerServiceHealth(
        entry.check,
        this.#options.isProxyHealthy(),
      );
      const reply = { status, headers, body, contentType: 'application/json' };
      send(response, reply, request.method === 'HEAD');
    }, this.#seats);
    const entry: OpenServer = { server, check };
    this.#open.set(place, entry);
    server.on('error', (error) => {
      // What could not be accepted was lost, the server was not.
      if (server.listening || this.#open.get(place) !== entry) return;
      this.#open.delete(place);
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
    const service = `${namespace}/${name}`;
    const problem = `health of Service ${service} is not served at ${place}: ${reason}`;
    if (this.#failed.get(place) === problem) return;
    this.#failed.set(place, problem);
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

/**
 * So many of the wanted servers that each namespace has its share: whoever may write Services in one
 * does not take the ports of the others. Within a namespace those that are open stay.
 */
function fairShare(
  wanted: readonly WantedServer[],
  most: number,
  isOpen: (server: WantedServer) => boolean,
): readonly WantedServer[] {
  if (wanted.length <= most) return wanted;
  const seen = new Map<string, number>();
  const ranked = wanted
    .toSorted((left, right) => Number(isOpen(right)) - Number(isOpen(left)))
    .map((server) => {
      const { namespace } = server.check;
      const rank = seen.get(namespace) ?? 0;
      seen.set(namespace, rank + 1);
      return { server, rank };
    });
  return ranked
    .toSorted((left, right) => left.rank - right.rank)
    .slice(0, most)
    .map(({ server }) => server);
}

function placeOf({ address, check }: HealthListener): string {
  return formatHostPort(address, check.port);
}

/** Stops listening at once, so that the port can be taken again in the same turn. */
function closeServer(server: Server): void {
  server.close();
  server.closeAllConnections();
}
