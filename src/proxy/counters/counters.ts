import type { IPFamily } from '../../net/ip.ts';
import type { NetlinkReply } from '../../netlink/message.ts';
import type { Clock } from '../../util/clock.ts';
import type { Logger } from '../../util/log.ts';
import type { Commit, CommitListener } from '../commit-listener.ts';
import type { ResolvedPort } from '../state.ts';
import { FamilyCounters, type ListSet } from './family.ts';
import { type ServiceCounts, serviceCounts } from './service-counts.ts';
import { metricsText } from './text.ts';

export interface CounterOptions {
  readonly families: readonly IPFamily[];
  /** Also connections per endpoint: as many series as endpoints that are used. */
  readonly hasEndpoints: boolean;
  readonly list: ListSet;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Two readings are at least so far apart. */
const MIN_INTERVAL_MS = 10_000;
/** And so many times as far as the last one took: reading is at most a thirtieth of one CPU. */
const REST_FACTOR = 30;
/** When nobody has asked for so long, deletions are not counted: the totals would only grow. */
const IDLE_MS = 600_000;
/** How long a scrape waits for a reading; then it gets the totals there are. */
const PATIENCE_MS = 2_000;

/**
 * Connections per Service and per endpoint, counted by the kernel in the elements that lead there:
 * NAT chains see the first packet of a connection only. Counters are read when somebody asks, at a
 * bounded pace; those of elements that are replaced come with the notice of their deletion.
 */
export class ConnectionCounters implements CommitListener {
  readonly #options: CounterOptions;
  readonly #families: ReadonlyMap<IPFamily, FamilyCounters>;
  #reading: Promise<void> | undefined;
  #notBeforeMs = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: CounterOptions) {
    this.#options = options;
    this.#families = new Map(
      options.families.map((family) => [
        family,
        new FamilyCounters(family, options.hasEndpoints, options.list),
      ]),
    );
  }

  programming(family: IPFamily, service: string, ports: readonly ResolvedPort[]): void {
    this.#families.get(family)?.programming(service, ports.length > 0);
  }

  committed(family: IPFamily, { isFull }: Commit): void {
    this.#families.get(family)?.committed(isFull);
  }

  /** Takes a message of NFNLGRP_NFTABLES. */
  onRulesetMessage(message: NetlinkReply): void {
    if (this.#options.clock.elapsed() - this.#askedAtMs > IDLE_MS) return;
    for (const family of this.#families.values()) family.onRulesetMessage(message);
  }

  /** The metrics in the Prometheus text format; reads the counters first if it is time to. */
  async text(): Promise<string> {
    return metricsText(await this.#totals());
  }

  /** The same by Service; what the kernel had counted a moment ago. */
  async counts(): Promise<ServiceCounts> {
    return serviceCounts(await this.#totals(), this.#options.hasEndpoints);
  }

  async #totals(): Promise<ReadonlyMap<IPFamily, ReadonlyMap<string, number>>> {
    const { clock } = this.#options;
    this.#askedAtMs = clock.elapsed();
    if (this.#reading === undefined && clock.elapsed() >= this.#notBeforeMs) {
      this.#reading = this.#read().finally(() => {
        this.#reading = undefined;
      });
    }
    await this.#patiently(this.#reading);
    return new Map([...this.#families].map(([family, { totals }]) => [family, totals]));
  }

  async #patiently(reading: Promise<void> | undefined): Promise<void> {
    if (reading === undefined) return;
    const patience = Promise.withResolvers<void>();
    const cancel = this.#options.clock.schedule(PATIENCE_MS, patience.resolve);
    await Promise.race([reading, patience.promise]).finally(cancel);
  }

  async #read(): Promise<void> {
    const { clock, log } = this.#options;
    const startedAtMs = clock.elapsed();
    try {
      for (const family of this.#families.values()) await family.read();
    } catch (err) {
      log.warn({ err }, 'connection counters not read');
    }
    const now = clock.elapsed();
    this.#notBeforeMs = now + Math.max(MIN_INTERVAL_MS, REST_FACTOR * (now - startedAtMs));
  }
}
