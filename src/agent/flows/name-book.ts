import type { Clock } from '../../util/clock.ts';
import type { Logger } from '../../util/log.ts';
import { takeInTurns } from '../../util/turns.ts';
import { FlowNames, type NamedAddresses, type NameFacts } from './flow-names.ts';

export interface NameBookOptions {
  readonly facts: () => NameFacts;
  /** Those of this node, as they are now. */
  readonly localPods: () => Iterable<NamedAddresses>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Names are no older than this while they are asked for, */
const MOST_AGE_MS = 2_000;
/** or so many times what it took to collect them: a thirtieth of one CPU at most. */
const REST_FACTOR = 30;
/** Those of this node's own pods. */
const POD_AGE_MS = 250;

/** Names that are collected while somebody asks, anew when they have grown old. */
export class NameBook {
  readonly #options: NameBookOptions;
  #names: FlowNames | undefined;
  #collecting: Promise<FlowNames> | undefined;
  #staleAtMs = 0;
  #podsStaleAtMs = 0;

  constructor(options: NameBookOptions) {
    this.#options = options;
  }

  /** Not older than they may be. */
  async ready(): Promise<FlowNames> {
    const names = this.#names;
    const isFresh = names !== undefined && this.#options.clock.elapsed() < this.#staleAtMs;
    return isFresh ? this.current() : this.#collect();
  }

  /** At once, and those to come are collected if it is time to; `ready` has resolved before. */
  current(): FlowNames {
    const { clock, log } = this.#options;
    if (this.#names === undefined) throw new Error('names are asked for before they are there');
    const nowMs = clock.elapsed();
    if (nowMs >= this.#podsStaleAtMs) {
      this.#podsStaleAtMs = nowMs + POD_AGE_MS;
      try {
        this.#names.setLocalPods(this.#options.localPods());
      } catch (err) {
        // Asked for while events of the kernel are told: those known before go on.
        log.debug({ err }, 'local pods not read');
      }
    }
    if (nowMs >= this.#staleAtMs) {
      this.#collect().catch((err: unknown) => log.debug({ err }, 'names not collected'));
    }
    return this.#names;
  }

  #collect(): Promise<FlowNames> {
    this.#collecting ??= this.#collectOnce().finally(() => {
      this.#collecting = undefined;
    });
    return this.#collecting;
  }

  async #collectOnce(): Promise<FlowNames> {
    const { facts, clock } = this.#options;
    const startedAtMs = clock.elapsed();
    const names = await takeInTurns(FlowNames.of(facts(), this.#names));
    const tookMs = clock.elapsed() - startedAtMs;
    this.#names = names;
    this.#staleAtMs = clock.elapsed() + Math.max(MOST_AGE_MS, REST_FACTOR * tookMs);
    names.setLocalPods(this.#options.localPods());
    return names;
  }
}
