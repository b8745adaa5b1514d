import type { Connection, ConnectionBatch } from '../../kernel/connections.ts';
import type { FlowFilter } from '../../kernel/types.ts';
import { matchesFlow } from '../../netlink/ctnetlink/request.ts';
import type { Clock } from '../../util/clock.ts';
import { BusyError, toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import type { ToldDenial } from '../policy/denials.ts';
import { connectionEvent, denialEvent, refusalEvent } from './describe.ts';
import type {
  FlowEvent,
  FlowFeed,
  FlowKind,
  FlowListener,
  FlowQuery,
  FlowSubscription,
} from './flow-event.ts';
import { listingFilters, matchesQuery } from './flow-query.ts';
import type { NameBook } from './name-book.ts';
import type { Refusal } from './refusal.ts';

interface Closable {
  close(): void;
}

/** Where events come from; each is opened for the first who listens and closed after the last. */
export interface FlowSources {
  readonly watchConnections: (listener: (batch: ConnectionBatch) => void) => Closable;
  readonly watchRefusals: (listener: (refusals: readonly Refusal[]) => void) => Closable;
  readonly watchDenials: (listener: (denial: ToldDenial) => void) => Closable;
  readonly pastDenials: () => readonly ToldDenial[];
  /** Has bytes and times noted of connections that begin from now on. */
  readonly holdAccounting: () => Closable;
  readonly listConnections: (
    filter: FlowFilter,
    onPart: (connections: readonly Connection[]) => void | Promise<void>,
  ) => Promise<boolean>;
  /** What will be missing in what is told, in words with the cure. */
  readonly notices: () => readonly string[];
}

export interface ConnectionFeedOptions {
  readonly sources: FlowSources;
  readonly names: NameBook;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counted: (kind: FlowKind, events: number) => void;
  readonly lost: (events: number) => void;
}

interface Subscriber {
  readonly query: FlowQuery;
  readonly listener: FlowListener;
}

const MOST_SUBSCRIBERS = 16;
/** A denial is told once a minute: within that time the node's own answers are about the same. */
const DENIED_MS = 60_000;
const MOST_DENIED = 1_000;
/** Some times as long as the kernel keeps what it hands to a log group. */
const DENIAL_WAIT_MS = 400;

/** Tells what the kernel, the policies and the proxy's refusals say, with names; at rest while nobody listens. */
export class ConnectionFeed implements FlowFeed {
  readonly #options: ConnectionFeedOptions;
  readonly #subscribers = new Map<FlowSubscription, Subscriber>();
  #opened: readonly Closable[] = [];
  #notices: readonly string[] = [];
  /** When which pair was denied. */
  readonly #denied = new Map<string, number>();
  readonly #waiting = new Set<() => void>();

  constructor(options: ConnectionFeedOptions) {
    this.#options = options;
  }

  async subscribe(query: FlowQuery, listener: FlowListener): Promise<FlowSubscription> {
    await this.#options.names.ready();
    if (this.#subscribers.size >= MOST_SUBSCRIBERS) {
      throw new BusyError(`${MOST_SUBSCRIBERS} readers follow the flows of this node already`);
    }
    if (this.#subscribers.size === 0) this.#open();
    const subscription: FlowSubscription = {
      notices: this.#notices,
      close: () => {
        if (this.#subscribers.delete(subscription) && this.#subscribers.size === 0) this.#close();
      },
    };
    this.#subscribers.set(subscription, { query, listener });
    return subscription;
  }

  async past(query: FlowQuery): Promise<readonly FlowEvent[]> {
    const { sources, names } = this.#options;
    const current = await names.ready();
    return sources
      .pastDenials()
      .map((denial) => denialEvent(denial, current))
      .filter((event) => matchesQuery(query, event, current.nodeName));
  }

  async live(
    query: FlowQuery,
    onPart: (events: readonly FlowEvent[]) => void | Promise<void>,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const { sources, names, clock, counted } = this.#options;
    const current = await names.ready();
    let isComplete = true;
    const asked: FlowFilter[] = [];
    for (const filter of listingFilters(query, current)) {
      signal?.throwIfAborted();
      const isWhole = await sources.listConnections(filter, async (connections) => {
        signal?.throwIfAborted();
        const nowMs = clock.now();
        const events = connections
          .filter(({ flow }) => !asked.some((before) => matchesFlow(before, flow)))
          .map((connection) => connectionEvent('live', connection, current, nowMs))
          .filter((event) => matchesQuery(query, event, current.nodeName));
        counted('live', events.length);
        if (events.length > 0) await onPart(events);
      });
      isComplete &&= isWhole;
      asked.push(filter);
    }
    return isComplete;
  }

  /** Ends all subscriptions. */
  close(): void {
    for (const subscription of [...this.#subscribers.keys()]) subscription.close();
  }

  /** Opens all, or as much as there is: of what cannot be opened a notice says why. */
  #open(): void {
    const { sources, log } = this.#options;
    const failed: string[] = [];
    const opened: Closable[] = [];
    const attempt = (what: string, open: () => Closable) => {
      try {
        opened.push(open());
      } catch (thrown) {
        const reason = toError(thrown).message;
        log.warn({ reason }, `${what} not told in the feed of flows`);
        failed.push(`${what} are not told: ${reason}`);
      }
    };
    attempt('bytes', sources.holdAccounting);
    attempt('connections', () => sources.watchConnections((batch) => this.#onConnections(batch)));
    attempt('refusals', () => sources.watchRefusals((refusals) => this.#onRefusals(refusals)));
    attempt('denials', () => sources.watchDenials((denial) => this.#onDenial(denial)));
    this.#opened = opened;
    this.#notices = [...sources.notices(), ...failed];
  }

  #close(): void {
    for (const source of this.#opened) source.close();
    this.#opened = [];
    for (const cancel of this.#waiting) cancel();
    this.#waiting.clear();
    this.#denied.clear();
  }

  #onConnections({ events, lost }: ConnectionBatch): void {
    const { names, clock } = this.#options;
    const current = names.current();
    const nowMs = clock.now();
    this.#tell(
      events.map(({ kind, connection }) => connectionEvent(kind, connection, current, nowMs)),
      lost,
    );
  }

  #onRefusals(refusals: readonly Refusal[]): void {
    const { names, clock } = this.#options;
    const current = names.current();
    const nowMs = clock.now();
    const events = refusals.map((refusal) => refusalEvent(refusal, current, nowMs));
    const [certain, doubtful] = partition(events, ({ verdict }) => verdict !== 'rejected');
    if (certain.length > 0) this.#tell(certain);
    // Policies reject too, and tell of it on their own way.
    if (doubtful.length > 0) this.#later(() => this.#tellUndenied(doubtful));
  }

  #tellUndenied(events: readonly FlowEvent[]): void {
    const { clock } = this.#options;
    const undenied = events.filter(({ from, to }) => {
      const deniedAt = this.#denied.get(`${from.ip} ${to.ip} ${to.port ?? 0}`);
      return deniedAt === undefined || clock.elapsed() - deniedAt > DENIED_MS;
    });
    if (undenied.length > 0) this.#tell(undenied);
  }

  #later(tell: () => void): void {
    const cancel = this.#options.clock.schedule(DENIAL_WAIT_MS, () => {
      this.#waiting.delete(cancel);
      tell();
    });
    this.#waiting.add(cancel);
  }

  #onDenial(denial: ToldDenial): void {
    const { names, clock } = this.#options;
    const key = `${denial.fromIP} ${denial.toIP} ${denial.port}`;
    this.#denied.delete(key);
    this.#denied.set(key, clock.elapsed());
    const [oldest] = this.#denied.keys();
    if (this.#denied.size > MOST_DENIED && oldest !== undefined) this.#denied.delete(oldest);
    this.#tell([denialEvent(denial, names.current())]);
  }

  #tell(events: readonly FlowEvent[], lost = 0): void {
    const { names, counted, lost: onLost } = this.#options;
    const { nodeName } = names.current();
    for (const { kind } of events) counted(kind, 1);
    if (lost > 0) onLost(lost);
    for (const { query, listener } of [...this.#subscribers.values()]) {
      const wanted = events.filter((event) => matchesQuery(query, event, nodeName));
      if (wanted.length > 0 || lost > 0) listener({ events: wanted, lost });
    }
  }
}

function partition<T>(items: readonly T[], isFirst: (item: T) => boolean): readonly [T[], T[]] {
  return [items.filter(isFirst), items.filter((item) => !isFirst(item))];
}
