import http, { type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import https from 'node:https';
import type { Clock } from '../../util/clock.ts';
import { errorCode } from '../../util/errors.ts';
import type { ClusterAccess, Credential } from '../access/access.ts';
import {
  type Answer,
  type ApiRequest,
  type Connection,
  lostRequest,
  methodOf,
  tooSlow,
} from './connection.ts';

/** HTTP/1.1 over a pool of kept connections: for plain http, proxies and servers without HTTP/2. */
export class Http1Connection implements Connection {
  readonly #agent: http.Agent;
  readonly #clock: Clock;
  #isRetired = false;

  constructor(access: ClusterAccess, credential: Credential, clock: Clock) {
    this.#agent = buildAgent(access, credential);
    this.#clock = clock;
  }

  get isUsable(): boolean {
    return !this.#isRetired;
  }

  retire(): void {
    this.#isRetired = true;
    // Only idle connections may be cut: destroy() would end watches that are still fine.
    for (const sockets of Object.values(this.#agent.freeSockets)) {
      for (const socket of sockets ?? []) socket.destroy();
    }
  }

  close(): void {
    this.#isRetired = true;
    this.#agent.destroy();
  }

  send(request: ApiRequest, url: URL, headers: OutgoingHttpHeaders): Promise<Answer> {
    const { headTimeoutMs, signal, write } = request;
    const method = methodOf(request);
    const send = url.protocol === 'https:' ? https.request : http.request;
    return new Promise((resolve, reject) => {
      const sent = send(url, { agent: this.#agent, signal, method, headers });
      const cancelTimer = this.#clock.schedule(headTimeoutMs, () => {
        sent.destroy(tooSlow(request));
      });
      sent.once('response', (response) => {
        cancelTimer();
        resolve(answerOf(response));
      });
      sent.once('error', (error) => {
        cancelTimer();
        const isClosed = ['ECONNRESET', 'EPIPE'].includes(errorCode(error) ?? '');
        const isStale = sent.reusedSocket && isClosed && !signal.aborted;
        reject(lostRequest(request, error, isStale));
      });
      sent.end(write?.body);
    });
  }
}

function answerOf(response: IncomingMessage): Answer {
  return {
    status: response.statusCode ?? 0,
    retryAfter: response.headers['retry-after'],
    date: response.headers.date,
    body: response,
    isCut: () => !response.complete,
  };
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
    minVersion: 'TLSv1.2',
    rejectUnauthorized: access.isTlsVerified,
    ca: credential.certificateAuthority,
    cert: credential.clientCertificate,
    key: credential.clientKey,
    ...(access.tlsServerName === undefined ? {} : { servername: access.tlsServerName }),
  });
}
