import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ApiObject, ApiObjects, keyOf, withAge } from './fake-api-objects.ts';
import { isOfVersion, mergeConditions, mergeObject } from './fake-api-patch.ts';
import { parseSelectors } from './fake-api-selectors.ts';
import { FakeApiWatches } from './fake-api-watches.ts';
import {
  cutConnection,
  describeRequest,
  type LoggedRequest,
  readJson,
  statusOf,
  writeEvent,
  writeJson,
  writeSlowly,
  writeStatus,
} from './fake-api-wire.ts';

export interface FakeApiOptions {
  /** Required Authorization header; undefined lets everybody in. */
  readonly authorization?: string;
  readonly requiresClientCertificate?: boolean;
  /** Answers field selectors with 400. */
  readonly refusesFieldSelectors?: boolean;
  /** How a resource version that was compacted is refused. */
  readonly expiredWatch?: 'status' | 'event';
  /** A watch from a version not reached yet: waits for it in silence, or is refused (504). */
  readonly futureWatch?: 'silent' | 'refused';
}

interface PlannedFailure {
  readonly matches: (request: LoggedRequest) => boolean;
  readonly respond: (response: ServerResponse) => void;
}

interface ObjectPath {
  readonly plural: string;
  /** `namespace/name` */
  readonly key: string;
}

/** Of one object of a namespace, or of its status. */
function parseObjectPath(path: string): ObjectPath | undefined {
  const [, namespace, plural, name] =
    /\/namespaces\/([^/]+)\/([a-z]+)\/([^/]+)(?:\/status)?$/.exec(path) ?? [];
  if (plural !== undefined) return { plural, key: `${namespace}/${name}` };
  const [, own] = /^\/api\/v1\/namespaces\/([^/]+)$/.exec(path) ?? [];
  return own === undefined ? undefined : { plural: 'namespaces', key: own };
}

/**
 * What a Kubernetes API server answers: LIST in pages of one snapshot, WATCH with the selectors' own
 * events, POST, and on demand every failure a client must live with. Resources are known by plural.
 */
export class FakeApi {
  /** Every request in order of arrival. */
  readonly requests: LoggedRequest[] = [];
  readonly objects = new ApiObjects();
  readonly watches = new FakeApiWatches();
  /** Objects that clients created. */
  readonly created: { readonly path: string; readonly object: ApiObject }[] = [];
  /** Paths of what clients deleted. */
  readonly deleted: string[] = [];
  /** What clients asked to merge into Nodes. */
  readonly patched: { readonly path: string; readonly change: unknown }[] = [];
  /** Change it to rotate the token: the old one is refused from then on. */
  authorization: string | undefined;
  /** Requests are taken and never answered. */
  isSilent = false;
  /** Lists come in so many pieces with a pause after each. */
  slowness: { readonly pieces: number; readonly everyMs: number } | undefined;
  /** Lists leave out what this does not let through. */
  isListed: (object: ApiObject) => boolean = () => true;
  /** Added to the time of day that answers tell. */
  skewMs = 0;
  /** Plurals that nobody may read. */
  forbidden: ReadonlySet<string> = new Set();
  /** Plurals this server does not know. */
  readonly missingKinds = new Set<string>();
  readonly #options: FakeApiOptions;
  #failures: PlannedFailure[] = [];

  constructor(options: FakeApiOptions) {
    this.#options = options;
    this.authorization = options.authorization;
  }

  /** Creates or replaces an object and tells the watches. */
  put(plural: string, object: ApiObject): void {
    this.watches.tell(this.objects.put(plural, object));
  }

  /** `key` is `namespace/name`, or the name alone. */
  delete(plural: string, key: string): void {
    this.watches.tell(this.objects.delete(plural, key));
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
    this.watches.sendBookmarks(this.objects.version);
    return String(this.objects.version);
  }

  get watchCount(): number {
    return this.watches.size;
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

  /** Cuts the connection of the next matching request in the middle of the answer. */
  cutNext(matches: (request: LoggedRequest) => boolean): void {
    const respond = (response: ServerResponse) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"kind":"List","metadata":{"resourceVersion":"1"},"items":[{"meta', () =>
        cutConnection(response),
      );
    };
    this.#failures.push({ matches, respond });
  }

  /** Cuts the connection of the next matching request. */
  resetNext(matches: (request: LoggedRequest) => boolean): void {
    this.#failures.push({ matches, respond: cutConnection });
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    const logged = describeRequest(request);
    this.requests.push(logged);
    if (this.skewMs !== 0) {
      response.setHeader('date', new Date(Date.now() + this.skewMs).toUTCString());
    }
    if (this.isSilent) return;
    const failure = this.#failures.find(({ matches }) => matches(logged));
    if (failure !== undefined) {
      this.#failures = this.#failures.filter((planned) => planned !== failure);
      failure.respond(response);
      return;
    }
    const [, node] = /^\/api\/v1\/nodes\/([^/]+)(\/status)?$/.exec(logged.path) ?? [];
    if (node !== undefined && this.#isAuthorized(logged)) {
      void this.#answerNode(logged, node, request, response);
      return;
    }
    const one = parseObjectPath(logged.path);
    if (one !== undefined && this.#isAuthorized(logged)) {
      void this.#answerObject(logged, one, request, response);
      return;
    }
    const plural = /^\/apis?\/.*\/([a-z]+)$/.exec(logged.path)?.[1];
    const hasFieldSelector = logged.query.has('fieldSelector');
    if (!this.#isAuthorized(logged)) writeStatus(response, 401, 'Unauthorized');
    else if (this.forbidden.has(plural ?? '')) writeStatus(response, 403, 'Forbidden');
    else if (plural === undefined || this.missingKinds.has(plural)) {
      writeStatus(response, 404, 'NotFound');
    } else if (hasFieldSelector && this.#options.refusesFieldSelectors === true) {
      writeStatus(response, 400, 'BadRequest');
    } else if (logged.method === 'POST') void this.#create(logged, plural, request, response);
    else if (logged.isWatch) this.#watch(logged, plural, response);
    else this.#list(logged, plural, response);
  }

  #isAuthorized({ clientName, authorization }: LoggedRequest): boolean {
    const isNamed = this.#options.requiresClientCertificate !== true || clientName !== undefined;
    return isNamed && (this.authorization === undefined || authorization === this.authorization);
  }

  /** GET of one Node, PATCH of its status. */
  async #answerNode(
    { method, path }: LoggedRequest,
    name: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const node = this.objects.get('nodes', name);
    if (node === undefined) {
      writeStatus(response, 404, 'NotFound');
      return;
    }
    if (method === 'PATCH') {
      const isMerge = request.headers['content-type'] === 'application/strategic-merge-patch+json';
      if (!isMerge) {
        writeStatus(response, 415, 'UnsupportedMediaType');
        return;
      }
      const change = await readJson(request);
      this.patched.push({ path, change });
      this.put('nodes', mergeConditions(node, change));
    }
    writeJson(response, 200, this.objects.get('nodes', name));
  }

  /** GET, DELETE and PATCH of one object, which a version that is not the last one is refused. */
  async #answerObject(
    { method, path }: LoggedRequest,
    { plural, key }: ObjectPath,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const change = method === 'PATCH' ? await readJson(request) : undefined;
    const object = this.objects.get(plural, key);
    if (object === undefined) {
      writeStatus(response, 404, 'NotFound');
    } else if (change !== undefined && !isOfVersion(object, change)) {
      writeStatus(response, 409, 'Conflict');
    } else if (method === 'DELETE') {
      this.delete(plural, key);
      this.deleted.push(path);
      writeJson(response, 200, object);
    } else {
      if (change !== undefined) {
        this.patched.push({ path, change });
        this.put(plural, mergeObject(object, change));
      }
      writeJson(response, 200, this.objects.get(plural, key));
    }
  }

  async #create(
    { path }: LoggedRequest,
    plural: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    // Tests send objects only.
    const object = (await readJson(request)) as ApiObject;
    if (plural === 'leases' && this.objects.get(plural, keyOf(object)) !== undefined) {
      writeStatus(response, 409, 'AlreadyExists');
      return;
    }
    this.created.push({ path, object });
    this.put(plural, plural === 'namespaces' ? withAge(object) : object);
    writeJson(response, 201, object);
  }

  #list({ path, query }: LoggedRequest, plural: string, response: ServerResponse): void {
    const [version = String(this.objects.version), start = '0'] =
      query.get('continue')?.split(':') ?? [];
    if (Number(version) < this.objects.oldestVersion) {
      writeStatus(response, 410, 'Expired');
      return;
    }
    const isSelected = parseSelectors(query.get('labelSelector'), query.get('fieldSelector'));
    const snapshot = this.objects.list(plural, Number(version));
    const selected = snapshot.filter((object) => isSelected(object) && this.isListed(object));
    const limit = Number(query.get('limit') ?? 0) || selected.length;
    const end = Number(start) + limit;
    const hasMore = end < selected.length;
    const list = {
      kind: `${selected[0]?.kind ?? ''}List`,
      apiVersion: path.split('/').slice(2, -1).join('/'),
      metadata: {
        resourceVersion: version,
        ...(hasMore ? { continue: `${version}:${end}` } : {}),
      },
      items: selected.slice(Number(start), end),
    };
    if (this.slowness === undefined) writeJson(response, 200, list);
    else void writeSlowly(response, JSON.stringify(list), this.slowness);
  }

  #watch({ query }: LoggedRequest, plural: string, response: ServerResponse): void {
    const since = Number(query.get('resourceVersion') ?? 0);
    const isExpired = since < this.objects.oldestVersion;
    if (isExpired && this.#options.expiredWatch === 'status') {
      writeStatus(response, 410, 'Expired');
      return;
    }
    if (since > this.objects.version && this.#options.futureWatch === 'refused') {
      writeJson(response, 504, statusOf(504, 'Timeout', 'ResourceVersionTooLarge'));
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
    const watch = { plural, isSelected, since, response };
    const missed = this.objects.changesAfter(since);
    this.watches.add(watch, missed, Number(query.get('timeoutSeconds') ?? 1800));
  }
}
