import type { Clock } from '../../util/clock.ts';
import { BusyError, IoError } from '../../util/errors.ts';
import type { ClusterAccess } from '../access/access.ts';
import { type Answer, type ApiRequest, isReading } from './connection.ts';
import { HANDSHAKE_TIMEOUT_MS, Transport } from './transport.ts';

export interface FailoverOptions {
  /** At least one; all of one cluster, in the order in which they are tried. */
  readonly accesses: readonly ClusterAccess[];
  readonly clock: Clock;
  readonly userAgent: string;
  /** Another server answers than before, or the first one does. */
  readonly onChosen?: ((access: ClusterAccess) => void) | undefined;
}

/** One that does not answer must not keep the others waiting. */
const SHORT_HANDSHAKE_MS = 3_000;
/** Answers in a row that say that the server itself is broken. */
const MOST_SERVER_ERRORS = 3;

/**
 * Requests to whichever server of a cluster answers. It is left only when a connection fails, an
 * answer does not come in time, or it reports nothing but faults of its own (5xx); then the next one
 * in the order is tried, and kept. What is read is asked of the next one at once; what is written may
 * have arrived, so it is the caller's to repeat.
 */
export class Failover {
  readonly #accesses: readonly ClusterAccess[];
  readonly #transports: readonly Transport[];
  readonly #onChosen: (access: ClusterAccess) => void;
  #at = 0;
  #chosen: number | undefined;
  #serverErrors = 0;

  constructor({ accesses, clock, userAgent, onChosen }: FailoverOptions) {
    this.#accesses = accesses;
    this.#onChosen = onChosen ?? (() => {});
    const handshakeMs = accesses.length > 1 ? SHORT_HANDSHAKE_MS : HANDSHAKE_TIMEOUT_MS;
    this.#transports = accesses.map(
      (access) => new Transport(access, clock, userAgent, handshakeMs),
    );
  }

  /** The server that has answered last, and before the first answer the one that is tried. */
  get access(): ClusterAccess {
    const access = this.#accesses[this.#chosen ?? this.#at];
    if (access === undefined) throw new Error('no server to ask');
    return access;
  }

  /** As Transport.send; of several failures the last one. */
  async send(request: ApiRequest): Promise<Answer> {
    const tries = isReading(request) ? this.#transports.length : 1;
    for (let tried = 1; ; tried++) {
      const at = this.#at;
      try {
        const answer = await this.#transport(at).send(request);
        this.#noteAnswer(at, answer.status);
        return answer;
      } catch (thrown) {
        const isOfServer = thrown instanceof IoError || thrown instanceof BusyError;
        if (!isOfServer || request.signal.aborted) throw thrown;
        this.#leave(at);
        if (tried >= tries) throw thrown;
      }
    }
  }

  /** The server refused the credential (401). */
  invalidateCredentials(): void {
    for (const transport of this.#transports) transport.invalidateCredentials();
  }

  close(): void {
    for (const transport of this.#transports) transport.close();
  }

  #transport(at: number): Transport {
    const transport = this.#transports[at];
    if (transport === undefined) throw new Error('no server to ask');
    return transport;
  }

  #noteAnswer(at: number, status: number): void {
    if (at === this.#at) {
      this.#serverErrors = status >= 500 ? this.#serverErrors + 1 : 0;
      if (this.#serverErrors >= MOST_SERVER_ERRORS) this.#leave(at);
    }
    if (this.#chosen === at || status >= 500) return;
    this.#chosen = at;
    this.#onChosen(this.access);
  }

  /** Several requests fail together: the first of them moves on. */
  #leave(at: number): void {
    if (at !== this.#at) return;
    this.#at = (at + 1) % this.#transports.length;
    this.#serverErrors = 0;
  }
}
