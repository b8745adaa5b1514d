import type { IP, IPFamily } from '../../../net/ip.ts';
import type { Clock } from '../../../util/clock.ts';

/** One client's packets through one socket of ours, to one endpoint. */
export interface UdpFlow {
  readonly family: IPFamily;
  /** Key of its ServicePort's Service. */
  readonly service: string;
  readonly source: IP;
  /** As endpointKey has it. */
  readonly endpoint: string;
  /** Called to end the flow, after it has left the table. */
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
  readonly #countBySource = new Map<IP, number>();
  /** A look is scheduled. One that finds no flows schedules no other. */
  #isLookedAfter = false;

  constructor(options: UdpFlowsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * Adds a flow of a new key. If need be it takes the place of the one that was silent for longest: of its
   * own source, where that has more than half of all.
   */
  add(key: string, flow: UdpFlow): void {
    const { clock, most } = this.#options;
    while (this.#entries.size >= most) this.end(this.#nextToGo(flow.source));
    this.#entries.set(key, { flow, seenAtMs: clock.elapsed() });
    this.#countBySource.set(flow.source, this.#countOf(flow.source) + 1);
    this.#lookLater();
  }

  /** A packet of it was seen, in either direction. */
  touch(key: string): void {
    const entry = this.#entries.get(key);
    const now = this.#options.clock.elapsed();
    if (entry === undefined || now - entry.seenAtMs < FRESH_MS) return;
    entry.seenAtMs = now;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }

  end(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    const { source, onEnd } = entry.flow;
    const left = this.#countOf(source) - 1;
    if (left === 0) this.#countBySource.delete(source);
    else this.#countBySource.set(source, left);
    onEnd();
  }

  /** Ends the flows that match. */
  endAll(isMeant: (flow: UdpFlow) => boolean): void {
    for (const [key, { flow }] of this.#entries) if (isMeant(flow)) this.end(key);
  }

  /** A source with more than half of all flows is found after a few steps. */
  #nextToGo(source: IP): string {
    const isGreedy = this.#countOf(source) > this.#options.most / 2;
    for (const [key, { flow }] of this.#entries) {
      if (!isGreedy || flow.source === source) return key;
    }
    return '';
  }

  #countOf(source: IP): number {
    return this.#countBySource.get(source) ?? 0;
  }

  #lookLater(): void {
    if (this.#isLookedAfter) return;
    this.#isLookedAfter = true;
    const { clock, idleMs } = this.#options;
    clock.schedule(idleMs / LOOKS_PER_TIMEOUT, () => this.#endIdle());
  }

  #endIdle(): void {
    const { clock, idleMs } = this.#options;
    const now = clock.elapsed();
    for (const [key, { seenAtMs }] of this.#entries) {
      if (now - seenAtMs < idleMs) break;
      this.end(key);
    }
    this.#isLookedAfter = false;
    if (this.#entries.size > 0) this.#lookLater();
  }
}
