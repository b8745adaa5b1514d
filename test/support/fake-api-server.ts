import { writeFileSync } from 'node:fs';
import { createSecureServer, type ServerHttp2Session } from 'node:http2';
import { createServer } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createAuthority, type TestAuthority } from './certificates.ts';
import { FakeApi, type FakeApiOptions } from './fake-api.ts';

export type { ApiObject } from './fake-api-objects.ts';

export interface FakeApiServerOptions extends FakeApiOptions {
  /** Address to listen on; 127.0.0.1 when absent. */
  readonly host?: string;
  /** Further subjectAltName entries (`DNS:api.example`). */
  readonly names?: readonly string[];
  /** Of a cluster with several servers; one of its own when absent. */
  readonly authority?: TestAuthority;
  /** A server of old, or behind an old proxy. */
  readonly speaksOnlyHttp1?: boolean;
}

/**
 * A Kubernetes API server in the test's process, over HTTPS (HTTP/2 and 1.1): `objects` holds the
 * data, `watches` mistreats running watches. After `stop` it comes back on the same port.
 */
export class FakeApiServer extends FakeApi {
  readonly authority: TestAuthority;
  readonly #options: FakeApiServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** And the client's port. */
  readonly #sessions = new Map<ServerHttp2Session, number | undefined>();
  #port = 0;
  #acceptedCount = 0;

  constructor(options: FakeApiServerOptions = {}) {
    super(options);
    this.authority = options.authority ?? createAuthority();
    this.#options = options;
    const names = [`IP:${options.host ?? '127.0.0.1'}`, ...(options.names ?? [])];
    const { certificate, key } = this.authority.issue('kube-apiserver', names);
    const tlsOptions = {
      cert: certificate,
      key,
      ca: this.authority.certificate,
      requestCert: options.requiresClientCertificate === true,
      rejectUnauthorized: false,
    };
    this.#server =
      options.speaksOnlyHttp1 === true
        ? createServer(tlsOptions, (request, response) => this.answer(request, response))
        : createSecureServer({ ...tlsOptions, allowHTTP1: true }, (request, response) =>
            // The compatibility classes of HTTP/2 do all that is used here of the others.
            this.answer(request as never, response as never),
          );
    this.#server.on('session', (session: ServerHttp2Session) => {
      this.#sessions.set(session, session.socket.remotePort);
      session.once('close', () => this.#sessions.delete(session));
    });
    this.#server.on('connection', (socket) => {
      this.#acceptedCount++;
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** Listens; after `stop` on the same port again, with the same objects. */
  async start(): Promise<{ readonly url: string; readonly caData: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen(this.#port, this.#options.host ?? '127.0.0.1', resolve);
    await promise;
    this.#server.off('error', reject);
    // A TCP server has an address object once it listens.
    this.#port = (this.#server.address() as AddressInfo).port;
    return { url: this.url, caData: this.caData };
  }

  /** Cuts all connections and refuses new ones; nothing if it does not listen. */
  async stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.resetConnections();
    await promise;
  }

  get url(): string {
    return `https://${this.#options.host ?? '127.0.0.1'}:${this.#port}`;
  }

  /** The CA certificate as kubeconfigs hold it. */
  get caData(): string {
    return Buffer.from(this.authority.certificate).toString('base64');
  }

  /** Writes a kubeconfig whose user entry is `user`; by default the token the server asks for. */
  kubeconfig(path: string, user?: Readonly<Record<string, unknown>>): string {
    const token = this.authorization?.replace(/^Bearer /, '');
    const config = {
      'current-context': 'test',
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
      clusters: [
        {
          name: 'test',
          cluster: { server: this.url, 'certificate-authority-data': this.caData },
        },
      ],
      users: [{ name: 'test', user: user ?? (token === undefined ? {} : { token }) }],
    };
    writeFileSync(path, JSON.stringify(config, undefined, 2), { mode: 0o600 });
    return path;
  }

  /** Connections open now. */
  get connectionCount(): number {
    return this.#sockets.size;
  }

  /** Connections since the start. */
  get acceptedCount(): number {
    return this.#acceptedCount;
  }

  /** Asks clients for new HTTP/2 connections (GOAWAY), as a server does before it ends. */
  sayGoAway(): void {
    for (const session of this.#sessions.keys()) session.close();
  }

  /**
   * Cuts all connections. HTTP/2 sessions end themselves: Node crashes when a socket is destroyed
   * below a session that writes.
   */
  resetConnections(): void {
    const ports = new Set(this.#sessions.values());
    for (const session of this.#sessions.keys()) session.destroy();
    for (const socket of this.#sockets) {
      if (!ports.has(socket.remotePort)) socket.resetAndDestroy();
    }
  }
}
