import { createHash } from 'node:crypto';
import type { IP } from '../../net/ip.ts';
import type { Clock } from '../../util/clock.ts';
import type { ServiceAddress } from '../facts.ts';

/**
 * Which node answers for an address: of those that may the one with the highest hash of both
 * (rendezvous hashing), so that addresses spread and only those of a lost node move.
 */
export function announcerOf(ip: IP, candidates: Iterable<string>): string | undefined {
  let best: { readonly node: string; readonly rank: string } | undefined;
  for (const node of candidates) {
    const rank = createHash('sha256').update(`${ip} ${node}`).digest('hex');
    if (best === undefined || rank > best.rank) best = { node, rank };
  }
  return best?.node;
}

/** Who answers for an address, and since when. */
interface Turn {
  readonly node: string | undefined;
  /** Who did before; undefined where that is not known. */
  readonly former: string | undefined;
  readonly sinceMs: number;
  /** The nodes that it was chosen from. */
  readonly candidates: string;
}

/** What becomes of an address, for people. */
export interface AnnouncedAddress {
  readonly ip: IP;
  readonly services: readonly string[];
  /** The node that answers; undefined: none, and `whyNot` says why. */
  readonly node: string | undefined;
  readonly whyNot: string;
}

/**
 * Who answers for which address, as one node sees it. Nodes do not see the same at the same moment: what a living
 * node has is taken over only after it had time to give it up, what a lost one had at once.
 */
export class Turns {
  readonly #clock: Clock;
  readonly #node: string;
  readonly #handoverMs: number;
  #turns: ReadonlyMap<IP, Turn> = new Map();
  #services: readonly ServiceAddress[] = [];

  constructor(node: string, clock: Clock, handoverMs: number) {
    this.#node = node;
    this.#clock = clock;
    this.#handoverMs = handoverMs;
  }

  /** Addresses that this node answers for now. `alive` are the nodes that can, this one where it can. */
  next(services: readonly ServiceAddress[], alive: ReadonlySet<string>): readonly IP[] {
    const now = this.#clock.elapsed();
    const all = [...alive].toSorted();
    const turns = new Map<IP, Turn>();
    this.#services = services.filter(({ kind }) => kind === 'loadBalancerIPs');
    for (const { ip, nodes, isServedSomewhere } of this.#services) {
      if (!isServedSomewhere) continue;
      const candidates = nodes === undefined ? all : nodes.filter((name) => alive.has(name));
      turns.set(ip, nextTurn(ip, this.#turns.get(ip), candidates, now));
    }
    this.#turns = turns;
    const isAlone = all.every((name) => name === this.#node);
    return [...turns].flatMap(([ip, { node, former, sinceMs }]) => {
      const isLeft = former !== undefined && !alive.has(former);
      const isDue = isAlone || isLeft || now - sinceMs >= this.#handoverMs;
      return node === this.#node && isDue ? [ip] : [];
    });
  }

  /** All addresses of load balancers. */
  list(): readonly AnnouncedAddress[] {
    return this.#services.map(({ ip, services, isServedSomewhere, nodes }) => {
      const node = this.#turns.get(ip)?.node;
      return {
        ip,
        services,
        node,
        whyNot: node === undefined ? why(isServedSomewhere, nodes) : '',
      };
    });
  }
}

function nextTurn(ip: IP, former: Turn | undefined, names: readonly string[], now: number): Turn {
  const candidates = names.join(' ');
  if (former?.candidates === candidates) return former;
  const node = announcerOf(ip, names);
  if (former !== undefined && former.node === node) return { ...former, candidates };
  return { node, former: former?.node, sinceMs: now, candidates };
}

function why(isServedSomewhere: boolean, nodes: readonly string[] | undefined): string {
  if (!isServedSomewhere) return 'no endpoint is ready';
  if (nodes === undefined) return 'no node can answer';
  const names = nodes.join(', ') || 'none that is named';
  return `externalTrafficPolicy is Local, and of the nodes with endpoints (${names}) none can answer`;
}
