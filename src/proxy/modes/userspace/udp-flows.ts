import type { IPFamily } from '../../../net/ip.ts';
import type { Clock } from '../../../util/clock.ts';

/** One client's packets through one socket of ours, to one endpoint. */
export interface UdpFlow {
  readonly family: IPFamily;
  /** Key of its ServicePort's Service. */
  readonly service: string;
  /** As endpointKey has it. */
  readonly endpoint: string;
  /** Ends it from outside; it is not in the table any more. */
  readonly onEnd: () => void;
}

interface Entry {
  readonly flow: UdpFlow;
  seenAtMs: number;
}

/** How often flows are looked at, by their idle time. */
const LOOKS_PER_TIMEOUT = 8;
/** Packets of a flow within this time do not change its place in the order. */
const FRESH_MS = 500;

export interface UdpFlowsOptions {
  readonly idleMs: number;
  readonly most: number;
  readonly clock: Clock;
}

/** The UDP flows of all Services, in the order of their last packets. */
export class UdpFlows {
  readonly #options: UdpFlowsOptions;
  readonly #entries = new Map<string, Entry>();
  /** A look is due; with the last flow it finds none and is the last. */
  #isLookedAfter = false;

  constructor(options: UdpFlowsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Adds a flow of a new key, in the place of the one that was silent for longest if need be. */
  add(key: string, flow: UdpFlow): void {
    const { clock, most } = this.#options;
    while (this.#entries.size >= most) {
      const [oldest = ''] = this.#entries.keys();
      this.end(oldest);
    }
    this.#entries.set(key, { flow, seenAtMs: clock.now() });
    this.#lookLater();
  }

  /** A packet of it was seen, in either direction. */
  touch(key: string): void {
    const entry = this.#entries.get(key);
    const now = this.#options.clock.now();
    if (entry === undefined || now - entry.seenAtMs < FRESH_MS) return;
    entry.seenAtMs = now;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }

  end(key: string): void {
    const entry = this.#entries.get(key);
    this.#entries.delete(key);
    entry?.flow.onEnd();
  }

  /** Ends those that are meant. */
  endAll(isMeant: (flow: UdpFlow) => boolean): void {
    for (const [key, { flow }] of this.#entries) if (isMeant(flow)) this.end(key);
  }

  #lookLater(): void {
    if (this.#isLookedAfter) return;
    this.#isLookedAfter = true;
    const { clock, idleMs } = this.#options;
    clock.schedule(idleMs / LOOKS_PER_TIMEOUT, () => this.#endIdle());
  }

  #endIdle(): void {
    const { clock, idleMs } = this.#options;
    const now = clock.now();
    for (const [key, { seenAtMs }] of this.#entries) {
      if (now - seenAtMs < idleMs) break;
      this.end(key);
    }
    this.#isLookedAfter = false;
    if (this.#entries.size > 0) this.#lookLater();
  }
}
