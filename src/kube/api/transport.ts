import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { Clock } from '../../util/clock.ts';
import { BusyError, errorCode, IoError, toError } from '../../util/errors.ts';
import type { ClusterAccess, Credential } from '../access/access.ts';

export interface GetRequest {
  /** Path and query below the server's own path prefix. */
  readonly path: string;
  /** Time until the answer's head has arrived. */
  readonly headTimeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * HTTP GET over kept-alive connections to one API server. The connection pool is replaced when the
 * certificates change; answers in progress finish on the old one.
 */
export class Transport {
  readonly #access: ClusterAccess;
  readonly #clock: Clock;
  readonly #userAgent: string;
  #agent: http.Agent | undefined;
  #agentMaterial = '';

  constructor(access: ClusterAccess, clock: Clock, userAgent: string) {
    this.#access = access;
    this.#clock = clock;
    this.#userAgent = userAgent;
  }

  /**
   * The answer's head with its body still to be read, whatever the status. Throws IoError when the
   * server cannot be reached, BusyError when it is silent; the causes hold no headers.
   */
  async get(request: GetRequest): Promise<IncomingMessage> {
    const credential = await this.#access.credentials.current();
    const agent = this.#agentFor(credential);
    const first = await this.#send(request, agent, credential);
    if (first !== 'stale connection') return first;
    const second = await this.#send(request, agent, credential);
    if (second !== 'stale connection') return second;
    throw new IoError(`get ${request.path}: connection closed by the server`);
  }

  /** The server refused the credential (401). */
  invalidateCredentials(): void {
    this.#access.credentials.invalidate();
  }

  close(): void {
    this.#agent?.destroy();
    this.#agent = undefined;
  }

  #agentFor(credential: Credential): http.Agent {
    const { certificateAuthority, clientCertificate, clientKey } = credential;
    const material = [certificateAuthority, clientCertificate, clientKey].join('\n');
    if (this.#agent !== undefined && material === this.#agentMaterial) return this.#agent;
    // Only idle connections may be cut: destroy() would end watches that are still fine.
    for (const sockets of Object.values(this.#agent?.freeSockets ?? {})) {
      for (const socket of sockets ?? []) socket.destroy();
    }
    this.#agentMaterial = material;
    this.#agent = buildAgent(this.#access, credential);
    return this.#agent;
  }

  #send(
    { path, headTimeoutMs, signal }: GetRequest,
    agent: http.Agent,
    credential: Credential,
  ): Promise<IncomingMessage | 'stale connection'> {
    const { server, headers } = this.#access;
    const url = new URL(server.pathname.replace(/\/+$/, '') + path, server);
    const send = server.protocol === 'https:' ? https.request : http.request;
    return new Promise((resolve, reject) => {
      const sent = send(url, {
        agent,
        signal,
        headers: {
          Accept: 'application/json',
          'User-Agent': this.#userAgent,
          ...headers,
          ...(credential.authorization ? { Authorization: credential.authorization } : {}),
        },
      });
      const cancelTimer = this.#clock.schedule(headTimeoutMs, () => {
        sent.destroy(new BusyError(`get ${path}: no answer within ${headTimeoutMs} ms`));
      });
      sent.once('response', (response) => {
        cancelTimer();
        resolve(response);
      });
      sent.once('error', (error) => {
        cancelTimer();
        const isClosed = ['ECONNRESET', 'EPIPE'].includes(errorCode(error) ?? '');
        if (sent.reusedSocket && isClosed && !signal.aborted) {
          resolve('stale connection');
        } else {
          reject(error instanceof BusyError ? error : failedRequest(path, error));
        }
      });
      sent.end();
    });
  }
}

function failedRequest(path: string, thrown: unknown): IoError {
  return new IoError(`get ${path}: ${toError(thrown).message}`, { cause: thrown });
}

function buildAgent(access: ClusterAccess, credential: Credential): http.Agent {
  const { proxyUrl } = access;
  const options = {
    keepAlive: true,
    // Also turns on TCP keep-alive, which finds dead peers under a quiet watch.
    keepAliveMsecs: 30_000,
    ...(proxyUrl === undefined
      ? {}
      : { proxyEnv: { HTTPS_PROXY: proxyUrl, HTTP_PROXY: proxyUrl } }),
  };
  if (access.server.protocol === 'http:') return new http.Agent(options);
  return new https.Agent({
    ...options,
    rejectUnauthorized: access.isTlsVerified,
    ca: credential.certificateAuthority,
    cert: credential.clientCertificate,
    key: credential.clientKey,
    ...(access.tlsServerName === undefined ? {} : { servername: access.tlsServerName }),
  });
}
