import { readTcpCounters } from '../../kernel/tcp-counters.ts';
import type { Clock } from '../../util/clock.ts';
import { IoError } from '../../util/errors.ts';

/** Segments that the kernel dropped for their TCP MD5 signature (RFC 2385), by what was wrong. */
export interface SignatureCounts {
  /** Of another password. */
  readonly TCPMD5Failure: number;
  /** Without one, where there is a password. */
  readonly TCPMD5NotFound: number;
  /** With one, where there is no password. */
  readonly TCPMD5Unexpected: number;
}

export const NO_SIGNATURES: SignatureCounts = {
  ...{ TCPMD5Failure: 0, TCPMD5NotFound: 0, TCPMD5Unexpected: 0 },
};

/** Of this network namespace; nothing where the kernel does not count them. */
export function readSignatureCounts(): SignatureCounts {
  try {
    return readTcpCounters(['TCPMD5Failure', 'TCPMD5NotFound', 'TCPMD5Unexpected']);
  } catch (thrown) {
    // It is a hint for people only.
    if (thrown instanceof IoError) return NO_SIGNATURES;
    throw thrown;
  }
}

/** Neighbours try again within seconds. */
const WINDOW_MS = 60_000;

interface Sample {
  readonly atMs: number;
  readonly counts: SignatureCounts;
}

/**
 * Whether segments with wrong passwords came lately: of a neighbour with another password nothing else is
 * seen, as its segments are dropped in silence.
 */
export class PasswordFailures {
  readonly #read: () => SignatureCounts;
  readonly #clock: Pick<Clock, 'elapsed'>;
  #samples: readonly Sample[] = [];

  constructor(read: () => SignatureCounts, clock: Pick<Clock, 'elapsed'>) {
    this.#read = read;
    this.#clock = clock;
  }

  /** Looks at the counters; to be called now and then. */
  look(): void {
    const atMs = this.#clock.elapsed();
    const last = this.#samples.filter((sample) => atMs - sample.atMs <= WINDOW_MS);
    this.#samples = [...last, { atMs, counts: this.#read() }];
  }

  /** What came between the first and the last look of a minute. */
  recent(): SignatureCounts {
    const [first, last] = [this.#samples.at(0), this.#samples.at(-1)];
    const grown = (name: keyof SignatureCounts) =>
      first === undefined || last === undefined ? 0 : last.counts[name] - first.counts[name];
    return {
      TCPMD5Failure: grown('TCPMD5Failure'),
      TCPMD5NotFound: grown('TCPMD5NotFound'),
      TCPMD5Unexpected: grown('TCPMD5Unexpected'),
    };
  }
}
