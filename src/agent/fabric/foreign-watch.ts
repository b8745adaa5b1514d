import type { Clock } from '../../util/clock.ts';
import type { Logger } from '../../util/log.ts';
import { BoundedFrequencyRunner } from '../../util/runner.ts';
import {
  foreignMasquerades,
  foreignMasqueradeText,
  MASQUERADE_CURE,
  type NatTable,
  type PodTraffic,
} from './foreign-masquerade.ts';

/** Listing the rules of a node with many Services takes iptables a while. */
const INTERVALS = { minIntervalMs: 60_000, retryIntervalMs: 60_000, maxIntervalMs: 300_000 };
/** In words; one is enough to be put right. */
const MOST_PROBLEMS = 10;

/** Looks now and then whether rules of others masquerade what pods send to pods of other nodes. */
export class ForeignMasqueradeWatch {
  readonly #runner: BoundedFrequencyRunner;
  #traffic: PodTraffic | undefined;
  #found: readonly string[] = [];

  constructor(options: {
    readonly clock: Clock;
    readonly log: Logger;
    readonly read: () => Promise<readonly NatTable[]>;
  }) {
    const { clock, log, read } = options;
    const look = async () => {
      if (this.#traffic === undefined) return;
      const found = foreignMasquerades(await read(), this.#traffic);
      this.#note(found.map(foreignMasqueradeText), log);
    };
    const onError = (err: Error) => log.debug({ err }, 'rules of others not read');
    this.#runner = new BoundedFrequencyRunner(look, { ...INTERVALS, clock, onError });
  }

  /** What was found by the last look, in words without the cure. */
  get found(): readonly string[] {
    return this.#found;
  }

  /** The same with the cure. */
  get problems(): readonly string[] {
    return this.#found.map((found) => `${found}; ${MASQUERADE_CURE}`);
  }

  /** Says which packets it is about; the first other nodes with pods are a reason to look. */
  follow(traffic: PodTraffic): void {
    const hadNone = (this.#traffic?.clusterCIDRs.length ?? 0) === 0;
    this.#traffic = traffic;
    if (hadNone && traffic.clusterCIDRs.length > 0) this.#runner.trigger();
  }

  async close(): Promise<void> {
    await this.#runner.stop();
  }

  #note(found: readonly string[], log: Logger): void {
    const isNews = found.slice(0, MOST_PROBLEMS).some((each) => !this.#found.includes(each));
    this.#found = found.slice(0, MOST_PROBLEMS);
    if (!isNews) return;
    log.warn({ problems: this.problems }, 'others masquerade what pods send to each other');
  }
}
