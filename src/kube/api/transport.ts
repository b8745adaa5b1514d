import type { OutgoingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import tls, { type TLSSocket } from 'node:tls';
import type { Clock } from '../../util/clock.ts';
import { BusyError, errorCode } from '../../util/errors.ts';
import type { ClusterAccess, Credential } from '../access/access.ts';
import {
  type Answer,
  type ApiRequest,
  type Connection,
  failedRequest,
  StaleConnectionError,
  tooSlow,
} from './connection.ts';
import { Http1Connection } from './http1.ts';
import { Http2Connection } from './http2.ts';

const TCP_KEEP_ALIVE_MS = 30_000;
/** Time to connect where there is no other server to try. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * Whether a server is told who asks: without TLS everybody on the way would learn it. As client-go, which
 * takes nothing of a kubeconfig's user for a server without TLS (DirectClientConfig.ClientConfig).
 */
export function provesItself({ server }: Pick<ClusterAccess, 'server'>): boolean {
  return server.protocol === 'https:';
}

interface Opened {
  /** The certificates it was opened with. */
  readonly material: string;
  readonly connection: Promise<Connection>;
}

/**
 * Requests to one API server: over one HTTP/2 connection where the server speaks it. The connection
 * is replaced when it broke or the certificates change; answers in progress finish on the old one.
 */
export class Transport {
  readonly #access: ClusterAccess;
  readonly #clock: Clock;
  readonly #userAgent: string;
  readonly #handshakeTimeoutMs: number;
  #opened: Opened | undefined;
  #isClosed = false;

  constructor(
    access: ClusterAccess,
    clock: Clock,
    userAgent: string,
    handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS,
  ) {
    this.#access = access;
    this.#clock = clock;
    this.#userAgent = userAgent;
    this.#handshakeTimeoutMs = handshakeTimeoutMs;
  }

  /**
   * The answer's head with its body still to be read, whatever the status. Throws IoError when the
   * server cannot be reached, BusyError when it is silent; the causes hold no headers.
   */
  async send(request: ApiRequest): Promise<Answer> {
    const credential = await this.#access.credentials.current();
    try {
      return await this.#attempt(request, credential);
    } catch (thrown) {
      if (!(thrown instanceof StaleConnectionError)) throw thrown;
      return this.#attempt(request, credential);
    }
  }

  /** The server refused the credential (401). */
  invalidateCredentials(): void {
    this.#access.credentials.invalidate();
  }

  close(): void {
    this.#isClosed = true;
    this.#opened?.connection.then((connection) => connection.close()).catch(() => {});
    this.#opened = undefined;
  }

  async #attempt(request: ApiRequest, credential: Credential): Promise<Answer> {
    const connection = await this.#connected(request, credential);
    const { server } = this.#access;
    const url = new URL(server.pathname.replace(/\/+$/, '') + request.path, server);
    return connection.send(request, url, this.#headers(request, credential));
  }

  #headers({ write, headers }: ApiRequest, { authorization }: Credential): OutgoingHttpHeaders {
    return {
      accept: 'application/json',
      'user-agent': this.#userAgent,
      ...(write === undefined ? {} : { 'content-type': write.contentType }),
      ...(provesItself(this.#access) ? this.#access.headers : {}),
      ...(provesItself(this.#access) && authorization ? { authorization } : {}),
      ...headers,
    };
  }

  /** The connection for these certificates; requests that come while it is opened share it. */
  async #connected(request: ApiRequest, credential: Credential): Promise<Connection> {
    const { certificateAuthority, clientCertificate, clientKey } = credential;
    const material = [certificateAuthority, clientCertificate, clientKey].join('\n');
    const known = this.#opened;
    if (known !== undefined && known.material === material) {
      const connection = await this.#inTime(known.connection, request);
      if (connection.isUsable) return connection;
    }
    // Unless somebody else has opened one meanwhile, for the same reason.
    const opened = this.#opened === known ? this.#reopen(material, credential) : this.#opened;
    return this.#inTime((opened ?? this.#reopen(material, credential)).connection, request);
  }

  #reopen(material: string, credential: Credential): Opened {
    this.#opened?.connection.then((connection) => connection.retire()).catch(() => {});
    const opened = { material, connection: this.#open(credential) };
    this.#opened = opened;
    opened.connection.catch(() => {
      if (this.#opened === opened) this.#opened = undefined;
    });
    return opened;
  }

  async #open(credential: Credential): Promise<Connection> {
    const { server, proxyUrl } = this.#access;
    try {
      if (server.protocol === 'https:' && proxyUrl === undefined) {
        const socket = await this.#handshake(credential);
        if (socket.alpnProtocol === 'h2') return new Http2Connection(server, socket, this.#clock);
        socket.destroy();
      }
      return new Http1Connection(this.#access, credential, this.#clock);
    } catch (thrown) {
      // A certificate read between the two halves of its rotation does not fit its key.
      if (errorCode(thrown)?.startsWith('ERR_OSSL')) this.invalidateCredentials();
      throw thrown;
    }
  }

  #handshake(credential: Credential): Promise<TLSSocket> {
    const { server, tlsServerName, isTlsVerified } = this.#access;
    const host = server.hostname.replace(/^\[|\]$/g, '');
    const name = tlsServerName ?? (isIP(host) === 0 ? host : undefined);
    return new Promise((resolve, reject) => {
      const socket = tls.connect({
        host,
        port: Number(server.port || 443),
        ALPNProtocols: ['h2', 'http/1.1'],
        minVersion: 'TLSv1.2',
        rejectUnauthorized: isTlsVerified,
        ca: credential.certificateAuthority,
        cert: credential.clientCertificate,
        key: credential.clientKey,
        ...(name === undefined ? {} : { servername: name }),
      });
      socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
      socket.setNoDelay(true);
      const cancelTimer = this.#clock.schedule(this.#handshakeTimeoutMs, () => {
        const reason = `no TLS connection within ${this.#handshakeTimeoutMs} ms`;
        socket.destroy(new BusyError(`connect to ${server.origin}: ${reason}`));
      });
      const fail = (error: Error) => {
        cancelTimer();
        reject(error);
      };
      socket.once('error', fail);
      socket.once('secureConnect', () => {
        cancelTimer();
        socket.off('error', fail);
        if (this.#isClosed) socket.destroy();
        resolve(socket);
      });
    });
  }

  /** Waits for a connection no longer than the request may take. */
  async #inTime(connection: Promise<Connection>, request: ApiRequest): Promise<Connection> {
    const { promise, reject } = Promise.withResolvers<never>();
    const { signal, headTimeoutMs } = request;
    const cancelTimer = this.#clock.schedule(headTimeoutMs, () => reject(tooSlow(request)));
    const abort = () => reject(failedRequest(request, signal.reason));
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await Promise.race([connection, promise]);
    } catch (thrown) {
      throw failedRequest(request, thrown);
    } finally {
      cancelTimer();
      signal.removeEventListener('abort', abort);
    }
  }
}
