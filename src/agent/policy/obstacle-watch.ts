import type { Clock } from '../../util/clock.ts';
import { readIfReadable } from '../../util/files.ts';
import type { Logger } from '../../util/log.ts';
import { BoundedFrequencyRunner } from '../../util/runner.ts';
import { serviceObstacle } from './obstacles.ts';

const IPVS_FILE = '/proc/net/ip_vs';
const INTERVALS = { minIntervalMs: 1_000, retryIntervalMs: 30_000, maxIntervalMs: 30_000 };

/** Looks now and then for what takes connections around the rules. */
export class ObstacleWatch {
  readonly #runner: BoundedFrequencyRunner;
  readonly #proxyMode: string | undefined;
  readonly #log: Logger;
  #found: string | undefined;

  constructor(proxyMode: string | undefined, { clock, log }: { clock: Clock; log: Logger }) {
    this.#proxyMode = proxyMode;
    this.#log = log;
    this.#look();
    this.#runner = new BoundedFrequencyRunner(async () => this.#look(), {
      ...INTERVALS,
      clock,
      onError: ({ message }) => log.debug({ reason: message }, 'IPVS not looked at'),
    });
    this.#runner.trigger();
  }

  /** Why no policy holds for connections to Services. */
  get found(): string | undefined {
    return this.#found;
  }

  async close(): Promise<void> {
    await this.#runner.stop();
  }

  #look(): void {
    const found = serviceObstacle({
      proxyMode: this.#proxyMode,
      ipvs: readIfReadable(IPVS_FILE) ?? '',
    });
    if (found !== undefined && found !== this.#found) {
      this.#log.error({ reason: found }, 'policies are not enforced');
    }
    this.#found = found;
  }
}
