import { writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { createAuthority, type TestAuthority } from './certificates.ts';
import {
  type ApiObject,
  ApiObjects,
  type Change,
  eventOf,
  parseSelectors,
  type Selector,
} from './fake-api-objects.ts';

export type { ApiObject } from './fake-api-objects.ts';

export interface FakeApiServerOptions {
  /** Address to listen on; 127.0.0.1 when absent. */
  readonly host?: string;
  /** Further subjectAltName entries (`DNS:api.example`). */
  readonly names?: readonly string[];
  /** Required Authorization header; undefined lets everybody in. */
  readonly authorization?: string;
  readonly requiresClientCertificate?: boolean;
  /** Answers field selectors with 400. */
  readonly refusesFieldSelectors?: boolean;
  /** How a resource version that was compacted is refused. */
  readonly expiredWatch?: 'status' | 'event';
}

export interface LoggedRequest {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly isWatch: boolean;
  readonly userAgent: string;
  readonly accept: string;
  readonly authorization: string | undefined;
  /** Common name of the client certificate. */
  readonly clientName: string | undefined;
}

interface Watch {
  readonly plural: string;
  readonly isSelected: Selector;
  readonly response: ServerResponse;
}

interface PlannedFailure {
  readonly matches: (request: LoggedRequest) => boolean;
  readonly respond: (response: ServerResponse) => void;
}

/**
 * A Kubernetes API server in the test's process: HTTPS, LIST in pages, WATCH with the selectors'
 * own events, and every failure a client must live with, on demand. Resources are known by plural.
 */
export class FakeApiServer {
  /** Every request in order of arrival. */
  readonly requests: LoggedRequest[] = [];
  readonly authority: TestAuthority = createAuthority();
  readonly objects = new ApiObjects();
  /** Change it to rotate the token. */
  authorization: string | undefined;
  /** Requests are taken and never answered. */
  isSilent = false;
  readonly #options: FakeApiServerOptions;
  readonly #server: ReturnType<typeof createServer>;
  readonly #sockets = new Set<Socket>();
  readonly #watches = new Set<Watch>();
  #failures: PlannedFailure[] = [];

  constructor(options: FakeApiServerOptions = {}) {
    this.#options = options;
    this.authorization = options.authorization;
    const names = [`IP:${options.host ?? '127.0.0.1'}`, ...(options.names ?? [])];
    const { certificate, key } = this.authority.issue('kube-apiserver', names);
    this.#server = createServer(
      {
        cert: certificate,
        key,
        ca: this.authority.certificate,
        requestCert: options.requiresClientCertificate === true,
        rejectUnauthorized: false,
      },
      (request, response) => this.#answer(request, response),
    );
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  async start(): Promise<{ readonly url: string; readonly caData: string }> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.listen(0, this.#options.host ?? '127.0.0.1', resolve);
    await promise;
    return { url: this.url, caData: this.caData };
  }

  async stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.resetConnections();
    await promise;
  }

  get url(): string {
    // A TCP server has an address object once it listens.
    const { port } = this.#server.address() as AddressInfo;
    return `https://${this.#options.host ?? '127.0.0.1'}:${port}`;
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

  /** Creates or replaces an object and tells the watches. */
  put(plural: string, object: ApiObject): void {
    this.#tell(this.objects.put(plural, object));
  }

  /** `key` is `namespace/name`, or the name alone. */
  delete(plural: string, key: string): void {
    this.#tell(this.objects.delete(plural, key));
  }

  /** Changes objects without telling anybody, as during a partition. */
  putSilently(plural: string, object: ApiObject): void {
    this.objects.put(plural, object);
  }

  deleteSilently(plural: string, key: string): void {
    this.objects.delete(plural, key);
  }

  /** Moves the version on and sends it to every watch; gives the version. */
  sendBookmarks(): string {
    this.objects.advance();
    const resourceVersion = String(this.objects.version);
    for (const { response } of this.#watches) {
      writeEvent(response, { type: 'BOOKMARK', object: { metadata: { resourceVersion } } });
    }
    return resourceVersion;
  }

  /** Sends an ERROR event into every watch and ends it. */
  sendError(status: number, reason: string): void {
    for (const { response } of this.#watches) {
      writeEvent(response, { type: 'ERROR', object: statusOf(status, reason) });
      response.end();
    }
  }

  /** Sends raw bytes into every watch. */
  sendRaw(bytes: Buffer): void {
    for (const { response } of this.#watches) response.write(bytes);
  }

  /** Ends every watch in good order, as the server does when its time is up. */
  endWatches(): void {
    for (const { response } of this.#watches) response.end();
  }

  get watchCount(): number {
    return this.#watches.size;
  }

  /** Cuts all connections without a word. */
  resetConnections(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Answers the next matching request with a failure. */
  failNext(
    matches: (request: LoggedRequest) => boolean,
    status: number,
    headers: Readonly<Record<string, string>> = {},
  ): void {
    const respond = (response: ServerResponse) => writeStatus(response, status, 'Failed', headers);
    this.#failures.push({ matches, respond });
  }

  /** Cuts the connection of the next matching request. */
  resetNext(matches: (request: LoggedRequest) => boolean): void {
    this.#failures.push({ matches, respond: (response) => response.destroy() });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const logged = describeRequest(request);
    this.requests.push(logged);
    if (this.isSilent) return;
    const failure = this.#failures.find(({ matches }) => matches(logged));
    if (failure !== undefined) {
      this.#failures = this.#failures.filter((planned) => planned !== failure);
      failure.respond(response);
      return;
    }
    const hasCertificate = logged.clientName !== undefined;
    const isNamed = this.#options.requiresClientCertificate !== true || hasCertificate;
    const isAuthorized =
      this.authorization === undefined || logged.authorization === this.authorization;
    const plural = /^\/apis?\/.*\/([a-z]+)$/.exec(logged.path)?.[1];
    const hasFieldSelector = logged.query.has('fieldSelector');
    if (!isNamed || !isAuthorized) writeStatus(response, 401, 'Unauthorized');
    else if (plural === undefined) writeStatus(response, 404, 'NotFound');
    else if (hasFieldSelector && this.#options.refusesFieldSelectors === true) {
      writeStatus(response, 400, 'BadRequest');
    } else if (logged.isWatch) this.#watch(logged, plural, response);
    else this.#list(logged, plural, response);
  }

  #list({ path, query }: LoggedRequest, plural: string, response: ServerResponse): void {
    const [version = String(this.objects.version), start = '0'] =
      query.get('continue')?.split(':') ?? [];
    if (Number(version) < this.objects.oldestVersion) {
      writeStatus(response, 410, 'Expired');
      return;
    }
    const isSelected = parseSelectors(query.get('labelSelector'), query.get('fieldSelector'));
    const selected = this.objects.list(plural).filter(isSelected);
    const limit = Number(query.get('limit') ?? 0) || selected.length;
    const end = Number(start) + limit;
    const hasMore = end < selected.length;
    writeJson(response, 200, {
      kind: `${selected[0]?.kind ?? ''}List`,
      apiVersion: path.split('/').slice(2, -1).join('/'),
      metadata: {
        resourceVersion: version,
        ...(hasMore ? { continue: `${version}:${end}` } : {}),
      },
      items: selected.slice(Number(start), end),
    });
  }

  #watch({ query }: LoggedRequest, plural: string, response: ServerResponse): void {
    const since = Number(query.get('resourceVersion') ?? 0);
    const isExpired = since < this.objects.oldestVersion;
    if (isExpired && this.#options.expiredWatch === 'status') {
      writeStatus(response, 410, 'Expired');
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (isExpired) {
      writeEvent(response, { type: 'ERROR', object: statusOf(410, 'Expired') });
      response.end();
      return;
    }
    const isSelected = parseSelectors(query.get('labelSelector'), query.get('fieldSelector'));

    const watch: Watch = { plural, isSelected, response };
    for (const change of this.objects.changesAfter(since)) tell(watch, change);
    this.#watches.add(watch);
    const timer = setTimeout(() => response.end(), Number(query.get('timeoutSeconds')) * 1000);
    timer.unref();
    response.once('close', () => {
      clearTimeout(timer);
      this.#watches.delete(watch);
    });
  }

  #tell(change: Change): void {
    for (const watch of this.#watches) tell(watch, change);
  }
}

function tell({ plural, isSelected, response }: Watch, change: Change): void {
  if (change.plural !== plural) return;
  const event = eventOf(change, isSelected);
  if (event !== undefined) writeEvent(response, event);
}

function describeRequest(request: IncomingMessage): LoggedRequest {
  const url = new URL(request.url ?? '/', 'https://fake');
  // Requests reach an HTTPS server through TLS sockets only.
  const socket = request.socket as TLSSocket;
  const subject = socket.authorized ? socket.getPeerCertificate().subject : undefined;
  return {
    path: url.pathname,
    query: url.searchParams,
    isWatch: url.searchParams.get('watch') === '1',
    userAgent: request.headers['user-agent'] ?? '',
    accept: request.headers.accept ?? '',
    authorization: request.headers.authorization,
    clientName: typeof subject?.CN === 'string' ? subject.CN : undefined,
  };
}

function writeEvent(response: ServerResponse, event: unknown): void {
  response.write(`${JSON.stringify(event)}\n`);
}

function writeJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

function writeStatus(
  response: ServerResponse,
  status: number,
  reason: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  writeJson(response, status, statusOf(status, reason), headers);
}

function statusOf(code: number, reason: string) {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message: 'forced' };
}
