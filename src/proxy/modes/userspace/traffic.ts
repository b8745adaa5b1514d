import type { Socket } from 'node:net';
import { type IP, type IPFamily, ipFamily, tryParseIP } from '../../../net/ip.ts';
import type { Clock } from '../../../util/clock.ts';
import type { Packet } from '../../verdict/explanation.ts';
import type { World } from '../../verdict/world.ts';
import { EndpointChoice, endpointKey } from './endpoint-choice.ts';
import { type Forwarding, judge } from './judgement.ts';
import type { Connections } from './limits.ts';
import { type Place, placeKey } from './places.ts';
import { relay } from './tcp-relay.ts';
import type { UdpFlows } from './udp-flows.ts';
import { openUpstream, type UdpClient, type UdpUpstream } from './udp-listener.ts';

/** Why an accepted connection or packet was not forwarded. */
export type Refusal = 'verdict' | 'limit' | 'endpoints';

/** Numbers since the start, for metrics. */
export interface TrafficCounts {
  /** TCP connections and UDP flows for which an endpoint was found. */
  readonly forwarded: { readonly tcp: number; readonly udp: number };
  readonly refused: Readonly<Record<Refusal, number>>;
}

export interface TrafficOptions {
  readonly family: IPFamily;
  /** Those of both families. */
  readonly connections: Connections;
  readonly flows: UdpFlows;
  readonly clock: Clock;
}

/** Everything verdicts depend on. */
export interface ForwarderWorld extends World {
  readonly interfaceOf?: (client: IP) => string | undefined;
}

/** Where a packet over UDP came to and from, and the way back. */
export interface UdpSource {
  readonly place: Place;
  readonly client: UdpClient;
  readonly reply: (answer: Buffer) => void;
}

/** Connections and flows of one address family, from their first packet to their end. */
export class Traffic {
  readonly #options: TrafficOptions;
  readonly #choice: EndpointChoice;
  readonly #upstreams = new Map<string, UdpUpstream>();
  /** What ends each TCP connection at once. */
  readonly #running = new Map<Socket, () => void>();
  readonly #forwarded = { tcp: 0, udp: 0 };
  readonly #refused = { verdict: 0, limit: 0, endpoints: 0 };

  constructor(options: TrafficOptions) {
    this.#options = options;
    this.#choice = new EndpointChoice({ clock: options.clock, random: Math.random });
  }

  get counts(): TrafficCounts {
    return { forwarded: { ...this.#forwarded }, refused: { ...this.#refused } };
  }

  /** The addresses that TCP connections run through. */
  addresses(): readonly IP[] {
    const { family, connections } = this.#options;
    return [...connections.addresses()].filter((address) => ipFamily(address) === family);
  }

  /** Takes an accepted connection, which was not read from yet. */
  connect(place: Place, client: Socket, world: ForwarderWorld): void {
    const packet = packetTo(place, client.remoteAddress, world);
    const judgement = packet === undefined ? undefined : judge(packet, world);
    if (packet === undefined || judgement?.kind !== 'forward') {
      this.#reset(client, 'verdict');
      return;
    }
    const { connections } = this.#options;
    const admission = connections.admit(place.service, place.address, packet.source);
    if (admission === undefined) {
      this.#reset(client, 'limit');
      return;
    }
    const reset = this.#relay(client, packet.source, judgement, () => {
      this.#running.delete(client);
      admission.end();
    });
    this.#running.set(client, reset);
  }

  /**
   * Takes a packet of a UDP listener. A client's packets go to one endpoint until the client falls
   * silent.
   */
  send(from: UdpSource, payload: Buffer, world: ForwarderWorld): void {
    const key = `${placeKey(from.place)} ${from.client.address} ${from.client.port}`;
    const running = this.#upstreams.get(key);
    if (running !== undefined) this.#options.flows.touch(key);
    const upstream = running ?? this.#openFlow(key, from, world);
    if (upstream === undefined) this.#refused.verdict++;
    else upstream.send(payload);
  }

  /** Ends UDP flows of a Service to other endpoints than these, by endpointKey. */
  endFlows(service: string, except: ReadonlySet<string>): void {
    const { family, flows } = this.#options;
    flows.endAll(
      (flow) => flow.family === family && flow.service === service && !except.has(flow.endpoint),
    );
  }

  /** Drops what is remembered for the turns of ServicePorts that are gone. */
  forget(servicePorts: Iterable<string>): void {
    this.#choice.forget(servicePorts);
  }

  /** Ends everything at once. */
  close(): void {
    const { family, flows } = this.#options;
    flows.endAll((flow) => flow.family === family);
    for (const reset of this.#running.values()) reset();
  }

  #openFlow(key: string, { place, client, reply }: UdpSource, world: ForwarderWorld) {
    const packet = packetTo(place, client.address, world);
    const judgement = packet === undefined ? undefined : judge(packet, world);
    if (packet === undefined || judgement?.kind !== 'forward') return undefined;
    const endpoint = this.#choice.next(judgement, packet.source);
    if (endpoint === undefined) return undefined;
    this.#choice.remember(judgement, packet.source, endpoint);
    this.#forwarded.udp++;
    const { family, flows } = this.#options;
    const answer = (payload: Buffer) => {
      flows.touch(key);
      reply(payload);
    };
    const upstream = openUpstream(endpoint, answer, () => flows.end(key));
    this.#upstreams.set(key, upstream);
    const onEnd = () => {
      this.#upstreams.delete(key);
      upstream.close();
    };
    flows.add(key, {
      ...{ family, service: place.service, source: packet.source },
      ...{ endpoint: endpointKey(endpoint), onEnd },
    });
    return upstream;
  }

  #relay(client: Socket, source: IP, forwarding: Forwarding, onEnd: () => void): () => void {
    return relay({
      client,
      choose: (tried) => this.#choice.next(forwarding, source, tried),
      onConnected: (endpoint) => {
        this.#forwarded.tcp++;
        this.#choice.remember(forwarding, source, endpoint);
      },
      onRefused: () => this.#refused.endpoints++,
      onEnd,
      clock: this.#options.clock,
    });
  }

  #reset(client: Socket, refusal: Refusal): void {
    this.#refused[refusal]++;
    client.on('error', () => {});
    client.resetAndDestroy();
  }
}

/** Undefined when the client is gone already. */
function packetTo(
  { address, port, protocol }: Place,
  client: string | undefined,
  world: ForwarderWorld,
): Packet | undefined {
  // Link-local addresses come with their zone.
  const source = tryParseIP(client?.split('%', 1)[0] ?? '');
  if (source === undefined) return undefined;
  const inInterface = world.interfaceOf?.(source);
  return {
    ...{ source, destination: address, protocol, port },
    ...(inInterface === undefined ? {} : { inInterface }),
  };
}
