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
  readonly candidates: Candidates;
}

/** Kept as long as they are the same: thousands of addresses have the same ones. */
interface Candidates {
  readonly names: ReadonlySet<string>;
  /** Those that were no candidates before, by what these were. */
  readonly added: Map<Candidates, readonly string[]>;
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
  #all = candidatesOf([]);

  constructor(node: string, clock: Clock, handoverMs: number) {
    this.#node = node;
    this.#clock = clock;
    this.#handoverMs = handoverMs;
  }

  /** Addresses that this node answers for now. `alive` are the nodes that can, this one where it can. */
  next(services: readonly ServiceAddress[], alive: ReadonlySet<string>): readonly IP[] {
    const now = this.#clock.elapsed();
    this.#all = sameOr(this.#all, alive);
    const turns = new Map<IP, Turn>();
    const isAlone = [...alive].every((name) => name === this.#node);
    const isDue = ({ former, sinceMs }: Turn) => {
      const isLeft = former !== undefined && !alive.has(former);
      return isAlone || isLeft || now - sinceMs >= this.#handoverMs;
    };
    this.#services = services.filter(({ kind }) => kind === 'loadBalancerIPs');
    for (const { ip, nodes, isServedSomewhere } of this.#services) {
      if (!isServedSomewhere) continue;
      const former = this.#turns.get(ip);
      const candidates =
        nodes === undefined
          ? this.#all
          : sameOr(former?.candidates, new Set(nodes.filter((name) => alive.has(name))));
      const holder = former === undefined || isDue(former) ? former?.node : former.former;
      turns.set(ip, nextTurn(ip, { turn: former, holder }, candidates, now));
    }
    this.#turns = turns;
    // Who was there before is not kept.
    for (const { candidates } of turns.values()) candidates.added.clear();
    return [...turns].flatMap(([ip, turn]) => {
      return turn.node === this.#node && isDue(turn) ? [ip] : [];
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

function candidatesOf(names: Iterable<string>): Candidates {
  return { names: new Set(names), added: new Map() };
}

function sameOr(former: Candidates | undefined, names: ReadonlySet<string>): Candidates {
  if (former?.names.size !== names.size) return candidatesOf(names);
  for (const name of names) if (!former.names.has(name)) return candidatesOf(names);
  return former;
}

interface Former {
  readonly turn: Turn | undefined;
  /** Who may answer still: not who had no time to begin. */
  readonly holder: string | undefined;
}

function nextTurn(
  ip: IP,
  { turn: former, holder }: Former,
  candidates: Candidates,
  now: number,
): Turn {
  if (former?.candidates === candidates) return former;
  const node = announcerOf(ip, challengers(former, candidates));
  if (former !== undefined && former.node === node) return { ...former, candidates };
  return { node, former: holder, sinceMs: now, candidates };
}

/** Who was chosen from all others is compared with new ones only: nodes come one by one. */
function challengers(former: Turn | undefined, { names, added }: Candidates): Iterable<string> {
  if (former?.node === undefined || !names.has(former.node)) return names;
  const before = former.candidates;
  const others = added.get(before) ?? [...names].filter((name) => !before.names.has(name));
  added.set(before, others);
  return [former.node, ...others];
}

function why(isServedSomewhere: boolean, nodes: readonly string[] | undefined): string {
  if (!isServedSomewhere) return 'no endpoint is ready';
  if (nodes === undefined) return 'no node can answer';
  const names = nodes.join(', ') || 'none that is named';
  return `externalTrafficPolicy is Local, and of the nodes with endpoints (${names}) none can answer`;
}
