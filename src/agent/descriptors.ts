import { readFileSync } from 'node:fs';
import type { Logger } from '../util/log.ts';

/** Connections at once, by who serves them; `serviceHealth`: to the ports of all Services together. */
export type ConnectionLimits = Readonly<
  Record<'health' | 'metrics' | 'serviceHealth' | 'cni' | 'debug' | 'page', number>
>;

/** What the forwarder may hold. */
export interface ForwarderShare {
  readonly connections: number;
  readonly udpFlows: number;
}

/** What is served where nothing limits it. */
const WANTED: ConnectionLimits = {
  health: 100,
  metrics: 100,
  serviceHealth: 200,
  cni: 256,
  debug: 40,
  page: 24,
};
/** A CNI call comes with a descriptor of its pod's namespace. */
const DESCRIPTORS_OF_A_CALL = 2;
/** Towards the client and towards the endpoint. */
const DESCRIPTORS_OF_A_CONNECTION = 2;
/** The agent's own: netlink sockets, watches, the API server, files and programs of calls. */
const RESERVE = 64;
/** Health ports are NodePorts, of which a cluster has so many by default (30000 to 32767). */
const MOST_HEALTH_PORTS = 2768;
const MOST_FORWARDER_PLACES = 65_536;
/** Of what connections leave over, for health ports, and as much for the places of the forwarder. */
const SHARE_OF_LISTENERS = 1 / 4;
const FEWEST = 2;
const FILE_NAME = /^Max open files\s+(\d+|unlimited)/m;

/**
 * Divides the descriptors that this process may have, so that neither clients nor pods can use up those
 * that its own work needs.
 */
export class DescriptorBudget {
  readonly limits: ConnectionLimits;
  readonly #total: number;
  readonly #log: Logger;

  /** `total` is the limit of open files. */
  constructor(total: number, log: Logger) {
    this.#total = total;
    this.#log = log;
    const scale = Math.min(1, this.#usable / 2 / sizeOf(WANTED));
    this.limits = scaled(WANTED, scale);
    if (scale === 1) return;
    const needed = 2 * sizeOf(WANTED) + RESERVE;
    log.warn(
      { limit: total, needed, connections: this.limits, cure: cureFor(needed) },
      'few open files are allowed: fewer connections are served at once',
    );
  }

  /** Sockets that listen for the health checks of Services: whoever may write those decides how many. */
  get healthPorts(): number {
    return Math.min(MOST_HEALTH_PORTS, Math.floor(this.#left * SHARE_OF_LISTENERS));
  }

  /** Sockets on which the forwarder listens: one for each place where a Service is reached. */
  get forwarderPlaces(): number {
    return Math.min(MOST_FORWARDER_PLACES, Math.floor(this.#left * SHARE_OF_LISTENERS));
  }

  /** Clients of Services get what is left; says so where the settings ask for more. */
  forForwarder(wanted: ForwarderShare): ForwarderShare {
    const size = wanted.connections * DESCRIPTORS_OF_A_CONNECTION + wanted.udpFlows;
    const left = this.#left - this.healthPorts - this.forwarderPlaces;
    const scale = Math.min(1, left / size);
    const share = scaled({ ...wanted }, scale);
    if (scale === 1) return share;
    const needed = this.#total - this.#left + Math.ceil(size / (1 - 2 * SHARE_OF_LISTENERS));
    this.#log.warn(
      {
        limit: this.#total,
        needed,
        userspaceMaxConnections: share.connections,
        userspaceMaxUdpFlows: share.udpFlows,
        cure: `${cureFor(needed)}, or lower userspaceMaxConnections and userspaceMaxUdpFlows`,
      },
      'few open files are allowed: fewer connections are forwarded at once than is configured',
    );
    return share;
  }

  get #left(): number {
    return Math.max(0, this.#usable - sizeOf(this.limits));
  }

  get #usable(): number {
    return Math.max(0, this.#total - RESERVE);
  }
}

/**
 * How many files this process may have open. Node has raised the soft limit to the hard one before
 * any of our code runs.
 */
export function openFilesLimit(limits = readFileSync('/proc/self/limits', 'utf8')): number {
  const soft = FILE_NAME.exec(limits)?.[1];
  return soft === undefined || soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
}

function sizeOf(limits: ConnectionLimits): number {
  const { health, metrics, serviceHealth, cni, debug, page } = limits;
  return health + metrics + serviceHealth + cni * DESCRIPTORS_OF_A_CALL + debug + page;
}

/** Rounded down, but for the fewest that are of any use. */
function scaled<K extends string>(
  counts: Readonly<Record<K, number>>,
  scale: number,
): Readonly<Record<K, number>> {
  const result: Record<K, number> = { ...counts };
  for (const key in counts) result[key] = Math.max(FEWEST, Math.floor(counts[key] * scale));
  return result;
}

function cureFor(needed: number): string {
  return `allow ${needed} open files (LimitNOFILE= of the unit, --ulimit nofile= of the container)`;
}
