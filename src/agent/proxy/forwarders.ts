import { formatHostPort } from '../../net/host-port.ts';
import type { IPFamily } from '../../net/ip.ts';
import type { ForwardersOptions } from '../../proxy/modes/mode.ts';
import { Forwarder } from '../../proxy/modes/userspace/forwarder.ts';
import { Connections } from '../../proxy/modes/userspace/limits.ts';
import type { Place } from '../../proxy/modes/userspace/places.ts';
import { Traffic } from '../../proxy/modes/userspace/traffic.ts';
import { UdpFlows } from '../../proxy/modes/userspace/udp-flows.ts';
import { FirstFew, summarized } from '../../util/complaints.ts';
import type { Logger } from '../../util/log.ts';
import type { OwnSettings } from '../config/own-settings.ts';
import type { AgentContext } from '../context.ts';
import type { DescriptorBudget } from '../descriptors.ts';
import type { ForwarderCounts } from '../metrics/forwarder.ts';
import { type EventSink, NO_EVENTS } from '../objects/events.ts';

/** Places where nobody can listen, as lines of the log and Events of their Services. */
export class ListenFailures {
  readonly #log: Logger;
  readonly #nodeName: string;
  readonly #few = new FirstFew();
  #events: EventSink = NO_EVENTS;

  constructor({ log, config }: Pick<AgentContext, 'log' | 'config'>) {
    this.#log = log;
    this.#nodeName = config.nodeName;
  }

  /** Sends Events from here on. */
  sendTo(events: EventSink): void {
    this.#events = events;
  }

  report(place: Place, reason: string): void {
    const { service } = place;
    const [namespace = '', name = ''] = service.split('/');
    const where = whereOf(place);
    const pass = this.#few.pass(`${service} ${reason}`);
    if (pass === 'unsaid') return;
    const others = pass === 'last' ? { others: 'not named any more' } : {};
    this.#log.warn({ service, address: where, reason, ...others }, 'cannot listen for service');
    this.#events.send({
      about: { kind: 'Service', namespace, name },
      type: 'Warning',
      reason: 'FailedToListen',
      action: 'Listen',
      note: `node ${this.#nodeName} cannot serve ${where} of "${service}": ${reason}`,
    });
  }
}

/** Forwarders that share the limits of the configuration, and close when the agent ends. */
export function openForwarders(
  { config, clock, lifecycle, metrics, descriptors, problems }: AgentContext,
  failures: ListenFailures,
  { families, isServed, canRedirect = () => false }: ForwardersOptions,
): ReadonlyMap<IPFamily, Forwarder> {
  const limits = limitsOf(config.own, descriptors);
  const connections = new Connections(limits);
  const flows = new UdpFlows({ idleMs: limits.udpIdleMs, most: limits.udpFlows, clock });
  const traffics: Traffic[] = [];
  const forwarders = new Map<IPFamily, Forwarder>();
  const hasRoom = () => {
    const sockets = [...forwarders.values()].reduce((total, each) => total + each.sockets, 0);
    return sockets < descriptors.forwarderPlaces;
  };
  for (const family of families) {
    const traffic = new Traffic({ family, connections, flows, clock });
    const onFailure = (place: Place, reason: string) => failures.report(place, reason);
    traffics.push(traffic);
    forwarders.set(
      family,
      new Forwarder({
        ...{ traffic, onFailure, hasRoom, canRedirect: () => canRedirect(family) },
        ...(isServed === undefined ? {} : { isServed }),
      }),
    );
  }
  lifecycle.onShutdown('forwarders', () => {
    for (const forwarder of forwarders.values()) forwarder.close();
    for (const traffic of traffics) traffic.close();
  });
  problems.add(() => summarized([...forwarders.values()].flatMap(listenProblems)));
  metrics.observeForwarder(() => countAll([...forwarders.values()], traffics, connections, flows));
  return forwarders;
}

function listenProblems({ failures }: Forwarder): readonly string[] {
  return Array.from(failures, ({ place, reason }) => {
    return `nobody listens at ${whereOf(place)} for Service ${place.service}: ${reason}`;
  });
}

function whereOf(place: Place): string {
  return `${formatHostPort(place.address, place.port)}/${place.protocol}`;
}

function limitsOf(own: OwnSettings, descriptors: DescriptorBudget) {
  const share = descriptors.forForwarder({
    connections: own.userspaceMaxConnections,
    udpFlows: own.userspaceMaxUdpFlows,
  });
  return {
    ...share,
    connectionsPerService: own.userspaceMaxConnectionsPerService,
    udpIdleMs: own.userspaceUdpIdleSeconds * 1000,
  };
}

function countAll(
  forwarders: readonly Forwarder[],
  traffics: readonly Traffic[],
  connections: Connections,
  flows: UdpFlows,
): ForwarderCounts {
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
  const refused = (reason: keyof ForwarderCounts['refused']) =>
    sum(traffics.map(({ counts }) => counts.refused[reason]));
  return {
    running: { tcp: connections.running, udp: flows.size },
    forwarded: {
      tcp: sum(traffics.map(({ counts }) => counts.forwarded.tcp)),
      udp: sum(traffics.map(({ counts }) => counts.forwarded.udp)),
    },
    refused: {
      verdict: refused('verdict'),
      limit: refused('limit'),
      endpoints: refused('endpoints'),
    },
    listening: sum(forwarders.map(({ counts }) => counts.listening)),
    failed: sum(forwarders.map(({ counts }) => counts.failed)),
  };
}
