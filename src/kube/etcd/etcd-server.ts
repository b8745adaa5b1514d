import { createHash } from 'node:crypto';
import type { Clock } from '../../util/clock.ts';
import { DecodeError, IoError } from '../../util/errors.ts';
import { parseJson } from '../../util/json.ts';
import { Turn } from '../../util/turns.ts';
import { ApiError } from '../api/api-error.ts';
import { readBody } from '../api/body.ts';
import type { Answer } from '../api/connection.ts';
import { LineSplitter } from '../api/lines.ts';
import type {
  ConvertedList,
  ListRequest,
  ObjectServer,
  WatchRequest,
} from '../api/object-server.ts';
import { asRecord } from '../api/watch-event.ts';
import { inSteps, JsonListSplitter } from '../json-list.ts';
import type { ResourceKind } from '../resources.ts';
import { Entry, type EntryLayout, type KeyValue } from './entries.ts';
import { EntryBook } from './entry-book.ts';
import type { EtcdGateway } from './gateway.ts';
import { History, isOlder } from './history.ts';
import { Pulse } from './pulse.ts';
import {
  encodeText,
  type Header,
  keyAfter,
  parseHeader,
  parsePair,
  parseWatchLine,
  prefixEnd,
  type WatchAnswer,
  wentBack,
} from './wire.ts';

/** One kind as it lies in etcd, and what of it is of no use. */
export interface KeptKind {
  readonly layout: EntryLayout;
  readonly book: EntryBook;
}

export interface EtcdServerOptions {
  readonly gateway: EtcdGateway;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** What tells the data apart from others of the same cluster. */
  readonly prefix: string;
  readonly kindOf: (resource: ResourceKind) => KeptKind;
  readonly pageSize?: number;
}

const PAGE_SIZE = 500;
/** etcd takes 1.5 MB unless configured otherwise; base64 and a whole batch of a slow watch are more. */
const MOST_ITEM_BYTES = 64 << 20;
const PAGE_IDLE_MS = 30_000;
const MOST_PAGE_MS = 300_000;
/** etcd compacts between two pages; not each time. */
const MOST_BEGINNINGS = 3;
/** etcd ends no watch by itself; it is asked anew now and then, so that endpoints share the load. */
const WATCH_MS = { min: 3_600_000, max: 7_200_000 };
/**
 * etcd tells every ten minutes how far a quiet watch is (`--experimental-watch-progress-notify-interval`).
 * A dead connection is found sooner, by keep-alive, and a member that hangs by the pulse.
 */
const WATCH_IDLE_MS = 1_500_000;

/** Lists and watches of keys as those of objects; see src/kube/README.md. */
export class EtcdServer implements ObjectServer {
  readonly #options: EtcdServerOptions;
  readonly history = new History();
  readonly #pulse: Pulse;
  /** Of the last list of each kind. */
  readonly #epochs = new WeakMap<ResourceKind, number>();

  constructor(options: EtcdServerOptions) {
    this.#options = options;
    this.#pulse = new Pulse({ ...options, history: this.history });
  }

  /** Page by page at one revision. */
  async list<V>(
    { resource, signal }: ListRequest,
    convert: (object: unknown) => V,
  ): Promise<ConvertedList<V>> {
    const kind = this.#options.kindOf(resource);
    for (let beginning = 1; ; beginning++) {
      const objects: V[] = [];
      kind.book.begin();
      try {
        const revision = await this.#pages(kind, signal, (entry) => objects.push(convert(entry)));
        kind.book.end();
        const before = this.#epochs.get(resource);
        const { epoch } = this.history;
        this.#epochs.set(resource, epoch);
        const isOtherHistory = before !== undefined && before !== epoch;
        return { objects, resourceVersion: String(revision), isOtherHistory };
      } catch (thrown) {
        const isAgain = thrown instanceof ApiError && thrown.isExpired;
        if (!isAgain || beginning === MOST_BEGINNINGS) throw thrown;
      }
    }
  }

  /** Of all objects of a kind: for hints to people. */
  async names(resource: ResourceKind, signal: AbortSignal): Promise<readonly string[]> {
    const { layout } = this.#options.kindOf(resource);
    const names: string[] = [];
    const book = new EntryBook();
    await this.#pages({ layout, book }, signal, ({ metadata }) => names.push(metadata.name));
    return names;
  }

  async watch(request: WatchRequest): Promise<void> {
    const { gateway } = this.#options;
    const { prefix } = this.#options.kindOf(request.resource).layout;
    const create_request = {
      key: encodeText(prefix),
      range_end: prefixEnd(prefix),
      start_revision: String(Number(request.resourceVersion) + 1),
      progress_notify: true,
    };
    const before = this.history.last;
    const { signal } = request;
    this.#refuseOther(request.resource);
    const body = { create_request };
    const answer = await gateway.open({ path: '/v3/watch', body, isRead: true, signal });
    const { moved } = gateway;
    const leave = () => answer.body.destroy(new IoError('its endpoint was left for another one'));
    moved.addEventListener('abort', leave, { once: true });
    const release = this.#pulse.hold();
    try {
      await this.#follow(answer, request, before);
    } finally {
      release();
      moved.removeEventListener('abort', leave);
    }
  }

  /** Whoever noticed first that etcd was restored, no kind's watch goes on from where it was before. */
  #refuseOther(resource: ResourceKind): void {
    const { last, epoch } = this.history;
    if (last === undefined || this.#epochs.get(resource) === epoch) return;
    throw wentBack(`watch ${this.#options.kindOf(resource).layout.prefix}`, last);
  }

  /** Until its time is over, or the signal. */
  async #follow(
    answer: Answer,
    { resource, resourceVersion, onOpen, onEvent, signal }: WatchRequest,
    before: Header | undefined,
  ): Promise<void> {
    const { random, clock } = this.#options;
    const kind = this.#options.kindOf(resource);
    const what = `watch ${kind.layout.prefix}`;
    const totalMs = WATCH_MS.min + random() * (WATCH_MS.max - WATCH_MS.min);
    const endsAt = clock.elapsed() + totalMs;
    const limits = { path: what, idleMs: WATCH_IDLE_MS, totalMs: totalMs + WATCH_IDLE_MS };
    const lines = new LineSplitter(MOST_ITEM_BYTES);
    const turn = new Turn();
    for await (const chunk of readBody(answer, limits, clock)) {
      for (const line of lines.push(chunk)) {
        const said = this.#parse(line, what);
        if (said.isCreated) {
          this.#refuseOther(resource);
          const isAhead = said.header.revision < Number(resourceVersion);
          if (isAhead || isOlder(said.header, before)) throw wentBack(what, said.header);
          onOpen?.();
        } else {
          this.history.noteSeen(said.header);
          this.#tell(said, kind, onEvent);
        }
        if (turn.isOver) await turn.next();
        if (signal.aborted) return;
      }
      if (clock.elapsed() >= endsAt) return;
    }
    throw new IoError(`${what}: the connection was closed`);
  }

  async clusterIdentity(): Promise<string> {
    const { gateway, prefix } = this.#options;
    const { accesses } = gateway;
    const authority = (await accesses[0]?.credentials.authority()) ?? '';
    const endpoints = accesses.map(({ server }) => server.href).sort();
    const hash = createHash('sha256').update(authority).digest('hex');
    return `etcd ${endpoints.join(' ')} ${prefix} ${hash}`;
  }

  close(): void {
    this.#options.gateway.close();
  }

  #parse(line: string, what: string): WatchAnswer {
    try {
      return parseWatchLine(line, what);
    } catch (thrown) {
      if (thrown instanceof ApiError && thrown.status === 401) this.#options.gateway.forgetToken();
      throw thrown;
    }
  }

  /** All events of one revision are in one answer, so that what was told is always whole. */
  #tell(
    { header, events }: WatchAnswer,
    { layout, book }: KeptKind,
    onEvent: WatchRequest['onEvent'],
  ): void {
    for (const { isDeleted, pair } of events) {
      const entry = entryOf(pair, layout, book);
      if (isDeleted) book.forget(pair.key);
      if (entry !== undefined) onEvent({ type: isDeleted ? 'DELETED' : 'MODIFIED', object: entry });
    }
    // A notification without events is what the API server calls a bookmark.
    const resourceVersion = events.at(-1)?.pair.modRevision ?? String(header.revision);
    onEvent({ type: 'BOOKMARK', object: { metadata: { resourceVersion } } });
  }

  /** Gives the revision of all of it. */
  async #pages(
    kind: KeptKind,
    signal: AbortSignal,
    onEntry: (entry: Entry) => void,
  ): Promise<number> {
    const { prefix } = kind.layout;
    let key = encodeText(prefix);
    let revision: number | undefined;
    for (;;) {
      const page = await this.#page(key, prefix, revision, signal, (pair) => {
        const entry = entryOf(pair, kind.layout, kind.book);
        if (entry !== undefined) onEntry(entry);
      });
      revision ??= page.header.revision;
      if (page.last === undefined || !page.hasMore) return revision;
      key = keyAfter(page.last);
    }
  }

  async #page(
    key: string,
    prefix: string,
    revision: number | undefined,
    signal: AbortSignal,
    onPair: (pair: KeyValue) => void,
  ): Promise<{ readonly header: Header; readonly last: string | undefined; hasMore: boolean }> {
    const { gateway, clock, pageSize = PAGE_SIZE } = this.#options;
    const path = '/v3/kv/range';
    const body = {
      ...{ key, range_end: prefixEnd(prefix), limit: String(pageSize) },
      ...(revision === undefined ? {} : { revision: String(revision) }),
    };
    const before = this.history.last;
    const answer = await gateway.open({ path, body, isRead: true, signal });
    const list = new JsonListSplitter(MOST_ITEM_BYTES, 'kvs');
    const limits = { path, idleMs: PAGE_IDLE_MS, totalMs: MOST_PAGE_MS };
    const turn = new Turn();
    let last: string | undefined;
    for await (const chunk of readBody(answer, limits, clock)) {
      for (const step of inSteps(chunk)) {
        for (const { bytes } of list.push(step)) {
          const item = parseJson(bytes.toString('utf8'));
          onPair(parsePair(item));
          last = String(asRecord(item)['key']);
        }
        if (turn.isOver) await turn.next();
      }
    }
    const rest = asRecord(parseJson(list.rest()));
    const header = parseHeader(rest['header']);
    if (!Number.isSafeInteger(header.revision)) throw new DecodeError(`${path}: no revision`);
    this.history.noteAgreed(header, before);
    return { header, last, hasMore: rest['more'] === true };
  }
}

/** Undefined for a key that is none of an object, which is noted. */
function entryOf(pair: KeyValue, layout: EntryLayout, book: EntryBook): Entry | undefined {
  const place = layout.placeOf(pair.key);
  if (place !== undefined) return new Entry(place, pair);
  const name = pair.key.slice(0, 200);
  book.note(pair.key, { kind: 'key', name, reason: `expected ${layout.pattern}` });
  return undefined;
}
