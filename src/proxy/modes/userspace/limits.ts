import type { IP } from '../../../net/ip.ts';

/** What the forwarder spends at most. */
export interface ForwarderLimits {
  /** TCP connections at once, of all Services of both address families. */
  readonly connections: number;
  readonly connectionsPerService: number;
  /** UDP flows at once; then the one that was silent for longest ends. */
  readonly udpFlows: number;
  /** A UDP flow ends after so much silence of both sides. */
  readonly udpIdleMs: number;
}

/** A TCP connection between its acceptance and its end. */
export interface Admission {
  end(): void;
}

/** Counts TCP connections: in all, by Service and by the address that clients see. */
export class Connections {
  readonly #limits: ForwarderLimits;
  readonly #byService = new Map<string, number>();
  readonly #byAddress = new Map<IP, number>();
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

  /** Undefined when there are too many. */
  admit(service: string, address: IP): Admission | undefined {
    const { connections, connectionsPerService } = this.#limits;
    const ofService = this.#byService.get(service) ?? 0;
    if (this.#running >= connections || ofService >= connectionsPerService) return undefined;
    this.#add(service, address, 1);
    let isOver = false;
    return {
      end: () => {
        if (!isOver) this.#add(service, address, -1);
        isOver = true;
      },
    };
  }

  #add(service: string, address: IP, by: 1 | -1): void {
    this.#running += by;
    count(this.#byService, service, by);
    count(this.#byAddress, address, by);
  }
}

function count<K>(counts: Map<K, number>, key: K, by: number): void {
  const sum = (counts.get(key) ?? 0) + by;
  if (sum === 0) counts.delete(key);
  else counts.set(key, sum);
}
