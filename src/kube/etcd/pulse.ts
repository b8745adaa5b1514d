import type { Clock } from '../../util/clock.ts';
import type { EtcdGateway } from './gateway.ts';
import type { History } from './history.ts';
import { encodeText, parseHeader } from './wire.ts';

const EVERY_MS = 5_000;
/** An election takes a second or two. */
const TIMEOUT_MS = 4_000;

export interface PulseOptions {
  readonly gateway: Pick<EtcdGateway, 'accesses' | 'ask'>;
  readonly history: History;
  readonly clock: Clock;
  /** Of the keys of objects. */
  readonly prefix: string;
}

/**
 * Asks the endpoint for something small as long as there are watches at it. Of a process that hangs the kernel
 * keeps the connections, and a quiet watch looks just the same; the endpoint is left for another one then.
 */
export class Pulse {
  readonly #options: PulseOptions;
  #held = 0;
  #cancel = () => {};

  constructor(options: PulseOptions) {
    this.#options = options;
  }

  /** While somebody watches; gives what ends it. */
  hold(): () => void {
    if (this.#held++ === 0) this.#schedule();
    return () => {
      if (--this.#held === 0) this.#cancel();
    };
  }

  #schedule(): void {
    this.#cancel = this.#options.clock.schedule(EVERY_MS, () => void this.#beat());
  }

  async #beat(): Promise<void> {
    const { gateway, history, prefix } = this.#options;
    const before = history.last;
    // What a user may read who may read what begins with `<prefix>/`.
    const body = { key: encodeText(`${prefix}/`), count_only: true };
    const path = '/v3/kv/range';
    const signal = AbortSignal.timeout(TIMEOUT_MS * (gateway.accesses.length + 1));
    try {
      const said = await gateway.ask({ path, body, isRead: true, signal, timeoutMs: TIMEOUT_MS });
      history.noteAgreed(parseHeader(said['header']), before);
    } catch {
      // Whoever lists or watches says what is wrong.
    }
    if (this.#held > 0) this.#schedule();
  }
}
