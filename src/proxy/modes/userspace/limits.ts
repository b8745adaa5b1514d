import type { IP } from '../../../net/ip.ts';

/** Limits of the forwarder. */
export interface ForwarderLimits {
  /** TCP connections at once, of all Services of both address families. */
  readonly connections: number;
  readonly connectionsPerService: number;
  /** UDP flows at once; then the one that was silent for longest ends. */
  readonly udpFlows: number;
  /** A UDP flow ends after so much silence of both sides. */
  readonly udpIdleMs: number;
}

/** One source may hold this many times the number of free places. */
const MOST_HELD_TO_FREE = 4;

/** A TCP connection between its acceptance and its end. */
export interface Admission {
  end(): void;
}

/** Counts TCP connections: in all, by Service, by source and by the address that clients see. */
export class Connections {
  readonly #limits: ForwarderLimits;
  readonly #byService = new Map<string, number>();
  readonly #byAddress = new Map<IP, number>();
  readonly #bySource = new Map<IP, number>();
  /** By Service and source. */
  readonly #byBoth = new Map<string, number>();
  #running = 0;

  constructor(limits: ForwarderLimits) {
    this.#limits = limits;
  }

  get running(): number {
    return this.#running;
  }

  /** The addresses that connections run through. */
  addresses(): Iterable<IP> {
    return this.#byAddress.keys();
  }

  /** Undefined when there are too many, in all or of `source`. */
  admit(service: string, address: IP, source: IP): Admission | undefined {
    const { connections, connectionsPerService } = this.#limits;
    const ofService = this.#byService.get(service) ?? 0;
    const ofSource = this.#bySource.get(source) ?? 0;
    const ofBoth = this.#byBoth.get(`${service} ${source}`) ?? 0;
    if (!mayTakeMore(ofSource, connections - this.#running)) return undefined;
    if (!mayTakeMore(ofBoth, connectionsPerService - ofService)) return undefined;
    const add = (by: 1 | -1) => {
      this.#running += by;
      count(this.#byService, service, by);
      count(this.#byAddress, address, by);
      count(this.#bySource, source, by);
      count(this.#byBoth, `${service} ${source}`, by);
    };
    add(1);
    let isOver = false;
    return {
      end: () => {
        if (!isOver) add(-1);
        isOver = true;
      },
    };
  }
}

/** One source alone gets four of five, two get four of nine each: there is always something left. */
function mayTakeMore(held: number, free: number): boolean {
  return held < MOST_HELD_TO_FREE * free;
}

function count<K>(counts: Map<K, number>, key: K, by: number): void {
  const sum = (counts.get(key) ?? 0) + by;
  if (sum === 0) counts.delete(key);
  else counts.set(key, sum);
}
