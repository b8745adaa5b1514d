import type { Flow, PortTuple } from '../../kernel/types.ts';
import type { LoggedPacket } from '../../netlink/nflog/logged-packet.ts';
import type { PacketHeaders } from '../../netlink/packet-headers.ts';
import type { PolicyWorld } from '../../policy/world.ts';
import { Allowance, Allowances } from '../../util/allowance.ts';
import type { Clock } from '../../util/clock.ts';
import type { Logger } from '../../util/log.ts';
import { type Attempt, attemptOf, type Denial, denialOf } from './denial.ts';

/** One line of the log of denied connections. */
export interface ToldDenial extends Denial {
  /** Counts from 1; what is missing is no longer kept. */
  readonly number: number;
  /** RFC 3339. */
  readonly at: string;
  /** Packets of the same kind since it was last told, this one included. */
  readonly packets: number;
  /** Others that were not told since the line before, because there were too many. */
  readonly suppressed: number;
}

/** What became of the packets that the kernel handed over. */
export interface DenialCounts {
  readonly told: number;
  /** Of a kind that was told within the last minute. */
  readonly repeated: number;
  readonly suppressed: number;
}

export interface HandedOver extends DenialCounts {
  /** Not read in time. */
  readonly lost: number;
}

export interface DenialsOptions {
  readonly world: () => PolicyWorld;
  readonly flowOf: (packet: PortTuple) => Flow | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onTold: (denial: ToldDenial) => void;
}

/** The same connection again is told no sooner. */
const AGAIN_MS = 60_000;
/** Kinds of packets that are remembered; the one told longest ago gives way. */
const MOST_KINDS = 2_000;
const MOST_KEPT = 500;
/** The policies of a moment serve all that is denied within so long. */
const WORLD_MS = 1_000;
/** Lines of the log: at most five a second for long. */
const BURST = 50;
const REFILL_MS = 200;
/** Addresses that are remembered; the one that asked longest ago begins anew. */
const MOST_ADDRESSES = 2_000;
/** Of the lines those from one address, and those to one, so that a single sender does not use up those. */
const FROM_ONE = { burst: 10, refillMs: 2_000, most: MOST_ADDRESSES } as const;
const TO_ONE = { burst: 30, refillMs: 500, most: MOST_ADDRESSES } as const;

interface Kind {
  readonly toldAt: number;
  packets: number;
}

/**
 * Makes a log of denied packets that nobody drowns in: one line for each pair, protocol and port a
 * minute, at most five lines a second, of them one in two seconds from one address and two a second to one, the rest counted. Memory is bounded whatever comes.
 */
export class Denials {
  readonly #options: DenialsOptions;
  readonly #allowance: Allowance;
  readonly #shares: { readonly source: Allowances; readonly destination: Allowances };
  readonly #kinds = new Map<string, Kind>();
  #world: PolicyWorld | undefined;
  readonly #kept: ToldDenial[] = [];
  #told = 0;
  #repeated = 0;
  #suppressed = 0;
  #suppressedSince = 0;

  constructor(options: DenialsOptions) {
    this.#options = options;
    const { clock } = options;
    this.#allowance = new Allowance({ clock, burst: BURST, refillMs: REFILL_MS });
    this.#shares = {
      source: new Allowances({ ...FROM_ONE, clock }),
      destination: new Allowances({ ...TO_ONE, clock }),
    };
  }

  get counts(): DenialCounts {
    return { told: this.#told, repeated: this.#repeated, suppressed: this.#suppressed };
  }

  add(packets: readonly LoggedPacket[]): void {
    for (const { headers, prefix } of packets) {
      // Without an IP header there is nothing that policies are about.
      if (headers === undefined || this.#isRepeated(headers)) continue;
      if (!this.#mayTell(headers)) {
        this.#suppressed++;
        this.#suppressedSince++;
        continue;
      }
      this.#tell(headers, prefix, this.#currentWorld());
    }
  }

  /** No pod uses up what others need, as the one that is denied nor as the one that denies. */
  #mayTell({ source, destination }: PacketHeaders): boolean {
    const { source: bySource, destination: byDestination } = this.#shares;
    return bySource.take(source) && byDestination.take(destination) && this.#allowance.take();
  }

  /** Those with a number above `after`, oldest first, as far as they are kept. */
  recent(after = 0): readonly ToldDenial[] {
    return this.#kept.filter(({ number }) => number > after);
  }

  /** To make one of tens of thousands of pods takes long, and each change of a pod makes it stale. */
  #currentWorld(): PolicyWorld {
    if (this.#world !== undefined) return this.#world;
    const { clock, world } = this.#options;
    clock.schedule(WORLD_MS, () => {
      this.#world = undefined;
    });
    this.#world = world();
    return this.#world;
  }

  #isRepeated(headers: PacketHeaders): boolean {
    const kind = this.#kinds.get(kindOf(headers));
    if (kind === undefined) return false;
    kind.packets++;
    if (this.#options.clock.elapsed() - kind.toldAt >= AGAIN_MS) return false;
    this.#repeated++;
    return true;
  }

  #tell(headers: PacketHeaders, prefix: string, world: PolicyWorld): void {
    const { clock, log, onTold } = this.#options;
    const denial = denialOf(this.#attempt(headers), headers, prefix, world);
    const told: ToldDenial = {
      number: ++this.#told,
      at: new Date(clock.now()).toISOString(),
      ...denial,
      packets: this.#remember(kindOf(headers)),
      suppressed: this.#suppressedSince,
    };
    this.#suppressedSince = 0;
    this.#kept.push(told);
    if (this.#kept.length > MOST_KEPT) this.#kept.shift();
    const { number: _number, at: _at, ...fields } = told;
    log.info(fields, 'connection denied by policy');
    onTold(told);
  }

  #attempt(headers: PacketHeaders): Attempt {
    const { flowOf, log } = this.#options;
    try {
      return attemptOf(headers, flowOf);
    } catch (thrown) {
      log.debug({ err: thrown }, 'flow of a denied packet not found');
      return attemptOf(headers, () => undefined);
    }
  }

  /** Begins to count anew, and gives how many there were. */
  #remember(key: string): number {
    const packets = this.#kinds.get(key)?.packets ?? 1;
    this.#kinds.delete(key);
    this.#kinds.set(key, { toldAt: this.#options.clock.elapsed(), packets: 0 });
    const [oldest] = this.#kinds.keys();
    if (this.#kinds.size > MOST_KINDS && oldest !== undefined) this.#kinds.delete(oldest);
    return packets;
  }
}

/** A client has another source port each time. */
function kindOf({ source, destination, protocol, ports, icmp }: PacketHeaders): string {
  return `${source} ${destination} ${protocol} ${ports?.destination ?? icmp?.type ?? ''}`;
}
