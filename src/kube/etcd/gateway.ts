import type { Clock } from '../../util/clock.ts';
import { DecodeError } from '../../util/errors.ts';
import { parseJson } from '../../util/json.ts';
import type { ClusterAccess } from '../access/access.ts';
import { ApiError } from '../api/api-error.ts';
import { readBody } from '../api/body.ts';
import type { Answer, ApiRequest } from '../api/connection.ts';
import { Failover } from '../api/failover.ts';
import { asRecord } from '../api/watch-event.ts';
import { GRPC, isTokenRefused, parseFailure } from './wire.ts';

export interface EtcdUser {
  readonly name: string;
  /** Read anew for each token. Throws IoError. */
  readonly password: () => string;
}

export interface GatewayOptions {
  /** At least one, in the order in which they are tried. */
  readonly accesses: readonly ClusterAccess[];
  /** Absent: nobody asks who we are. A client certificate does not say it to the gateway. */
  readonly user?: EtcdUser | undefined;
  readonly version: string;
  readonly clock: Clock;
  /** Another endpoint answers than before, or the first one does. */
  readonly onChosen?: (access: ClusterAccess) => void;
  /** Longest wait for the head of an answer. */
  readonly requestTimeoutMs?: number;
}

export interface Question {
  /** `/v3/kv/range` */
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** Nothing changes by it: another endpoint may be asked the same. */
  readonly isRead: boolean;
  readonly signal: AbortSignal;
  /** Until the head of the answer has arrived, where it is not the usual time. */
  readonly timeoutMs?: number;
}

/** A member that has lost the others answers within 7 s that it did not hear from them. */
const REQUEST_TIMEOUT_MS = 10_000;
const MOST_ERROR_BYTES = 64 << 10;
const MOST_ANSWER_BYTES = 16 << 20;
/** Of all that is asked, so that a member without leader ends its watches (clientv3.WithRequireLeader). */
const REQUIRE_LEADER = { 'grpc-metadata-hasleader': 'true' };

/**
 * Requests to etcd's JSON gateway, at whichever endpoint answers, with a token for the user where there is
 * one; it is renewed when etcd refuses it. Throws ApiError with the status that a gRPC code stands for,
 * IoError, BusyError or DecodeError; messages hold neither password nor token.
 */
export class EtcdGateway {
  readonly #options: GatewayOptions;
  readonly #endpoints: Failover;
  /** Until another endpoint is chosen. */
  #moving = new AbortController();
  /** Of the user; empty where etcd does not ask who we are. */
  #token: Promise<string> | undefined;

  constructor(options: GatewayOptions) {
    this.#options = options;
    const { accesses, clock, version } = options;
    this.#endpoints = new Failover({
      ...{ accesses, clock, userAgent: `weft/${version}` },
      onChosen: (access) => {
        this.#moving.abort();
        this.#moving = new AbortController();
        options.onChosen?.(access);
      },
    });
  }

  /** The endpoint that has answered last. */
  get access(): ClusterAccess {
    return this.#endpoints.access;
  }

  /** Aborted when another endpoint answers than the one in use now. */
  get moved(): AbortSignal {
    return this.#moving.signal;
  }

  get accesses(): readonly ClusterAccess[] {
    return this.#options.accesses;
  }

  /** The head of an answer, whose body is for the caller to read. */
  async open(question: Question): Promise<Answer> {
    const { user } = this.#options;
    if (user === undefined) return this.#checked(question, '');
    const token = this.#currentToken(user);
    try {
      return await this.#checked(question, await token);
    } catch (thrown) {
      if (!isRefused(thrown)) throw thrown;
      this.forgetToken(token);
      return this.#checked(question, await this.#currentToken(user));
    }
  }

  /** A whole answer, as JSON. */
  async ask(question: Question): Promise<Readonly<Record<string, unknown>>> {
    const answer = await this.open(question);
    const value = parseJson(await this.#text(answer, question.path, MOST_ANSWER_BYTES));
    if (value === undefined) throw new DecodeError(`${question.path}: the answer is not JSON`);
    return asRecord(value);
  }

  /** The next request asks for another one; unless somebody has done so meanwhile. */
  forgetToken(token = this.#token): void {
    if (token === this.#token) this.#token = undefined;
  }

  close(): void {
    this.#endpoints.close();
  }

  #currentToken(user: EtcdUser): Promise<string> {
    const known = this.#token ?? this.#authenticate(user);
    this.#token = known;
    known.catch(() => this.forgetToken(known));
    return known;
  }

  async #authenticate({ name, password }: EtcdUser): Promise<string> {
    const path = '/v3/auth/authenticate';
    // What others wait for ends with none of them.
    const signal = AbortSignal.timeout(2 * this.#timeoutMs);
    const body = { name, password: password() };
    try {
      const answer = await this.#checked({ path, body, isRead: true, signal }, '');
      const text = await this.#text(answer, path, MOST_ERROR_BYTES);
      const { token } = asRecord(parseJson(text));
      if (typeof token === 'string' && /^[\x21-\x7e]+$/.test(token)) return token;
    } catch (thrown) {
      // As etcd's own client: a user is no harm where etcd does not ask for one.
      const isOff = thrown instanceof ApiError && thrown.reason === String(GRPC.failedPrecondition);
      if (isOff) return '';
      throw thrown;
    }
    throw new DecodeError(`${path}: an answer without token`);
  }

  async #checked(
    { path, body, isRead, signal, timeoutMs }: Question,
    token: string,
  ): Promise<Answer> {
    const request: ApiRequest = {
      ...{ path, signal, isRead, headTimeoutMs: timeoutMs ?? this.#timeoutMs },
      write: { method: 'POST', contentType: 'application/json', body: JSON.stringify(body) },
      headers: token === '' ? REQUIRE_LEADER : { ...REQUIRE_LEADER, authorization: token },
    };
    const answer = await this.#endpoints.send(request);
    if (answer.status === 200) return answer;
    const text = await this.#text(answer, path, MOST_ERROR_BYTES);
    throw new ApiError(`etcd ${path}`, parseFailure(parseJson(text) ?? text, answer.status));
  }

  get #timeoutMs(): number {
    return this.#options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
  }

  /** Throws DecodeError for what is longer. */
  async #text(answer: Answer, path: string, mostBytes: number): Promise<string> {
    const limits = { path, idleMs: this.#timeoutMs, totalMs: this.#timeoutMs };
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of readBody(answer, limits, this.#options.clock)) {
      length += chunk.length;
      if (length > mostBytes) throw new DecodeError(`${path}: more than ${mostBytes} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }
}

function isRefused(thrown: unknown): boolean {
  return thrown instanceof ApiError && isTokenRefused(thrown);
}
