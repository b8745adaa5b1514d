import type { Clock } from '../util/clock.ts';
import type { Resource } from './resources.ts';
import type { ObjectHandlers, ObjectSource, Subscription } from './source.ts';
import type { KubernetesObject } from './types.ts';

/**
 * One source for many listeners: a resource is read once, however many follow it. This node's Node is
 * taken from all Nodes where somebody follows those (`within`). For that, who follows all of them has
 * to ask before the start; later they are read beside it. Remembers when it last told of something.
 */
export class SharedObjects implements ObjectSource {
  readonly #source: ObjectSource;
  readonly #clock: Clock;
  #feeds: readonly AnyFeed[] = [];
  #isStarted = false;
  #lastEventAtMs: number | undefined;

  constructor(source: ObjectSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** Milliseconds since the epoch; undefined before the first event. */
  get lastEventAtMs(): number | undefined {
    return this.#lastEventAtMs;
  }

  /** A late listener is told at once of what is there. */
  watch<T extends KubernetesObject>(
    resource: Resource<T>,
    handlers: ObjectHandlers<T>,
  ): Subscription<T> {
    const feed = this.#feedOf(resource) ?? this.#addFeed(resource);
    return this.#untilIdle(feed, feed.add(handlers));
  }

  start(signal: AbortSignal): void {
    this.#isStarted = true;
    for (const feed of this.#feeds) feed.open();
    this.#source.start(signal);
  }

  hasSynced(): boolean {
    return this.#isStarted && this.#source.hasSynced();
  }

  #addFeed<T extends KubernetesObject>(resource: Resource<T>): Feed<T> {
    const note = () => {
      this.#lastEventAtMs = this.#clock.now();
    };
    const feed: Feed<T> = new Feed(resource, note, (handlers) => {
      const wider = resource.within && this.#feedOf(resource.within);
      return wider === undefined
        ? this.#source.watch(resource, handlers)
        : this.#untilIdle(wider, wider.choose(resource.isSelected, handlers));
    });
    this.#feeds = [...this.#feeds, feed];
    if (this.#isStarted) feed.open();
    return feed;
  }

  /** A feed ends with the last of its listeners. */
  #untilIdle<T>(feed: AnyFeed, subscription: Subscription<T>): Subscription<T> {
    const close = () => {
      subscription.close();
      if (!feed.isIdle || !this.#feeds.includes(feed)) return;
      this.#feeds = this.#feeds.filter((each) => each !== feed);
      feed.close();
    };
    return { ...subscription, close };
  }

  #feedOf<T extends KubernetesObject>(resource: Resource<T>): Feed<T> | undefined {
    const found = this.#feeds.find((feed) => isSameChoice(feed.resource, resource));
    // One decoder makes one type of objects.
    return found as Feed<T> | undefined;
  }
}

interface Choice {
  readonly decode: unknown;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

/** Decoders are made once per kind. */
function isSameChoice(a: Choice, b: Choice): boolean {
  return (
    a.decode === b.decode &&
    a.labelSelector === b.labelSelector &&
    a.fieldSelector === b.fieldSelector
  );
}

interface AnyFeed {
  readonly resource: Choice;
  /** Nobody listens any more. */
  readonly isIdle: boolean;
  open(): void;
  close(): void;
}

/** One reading of one resource, and who listens to it. */
class Feed<T extends KubernetesObject> implements AnyFeed {
  readonly resource: Resource<T>;
  readonly #note: () => void;
  readonly #follow: (handlers: ObjectHandlers<T>) => Subscription<T>;
  readonly #synced = Promise.withResolvers<void>();
  readonly #confirmed = Promise.withResolvers<void>();
  #listeners: readonly ObjectHandlers<T>[] = [];
  #subscription: Subscription<T> | undefined;

  constructor(
    resource: Resource<T>,
    note: () => void,
    follow: (handlers: ObjectHandlers<T>) => Subscription<T>,
  ) {
    this.resource = resource;
    this.#note = note;
    this.#follow = follow;
  }

  open(): void {
    this.#subscription = this.#follow({
      onAdd: (object) => this.#tell((listener) => listener.onAdd(object)),
      onUpdate: (object, old) => this.#tell((listener) => listener.onUpdate(object, old)),
      onDelete: (object) => this.#tell((listener) => listener.onDelete(object)),
    });
    void this.#subscription.synced.then(this.#synced.resolve);
    void this.#subscription.confirmed.then(this.#confirmed.resolve);
  }

  close(): void {
    this.#subscription?.close();
  }

  get isIdle(): boolean {
    return this.#listeners.length === 0;
  }

  add(handlers: ObjectHandlers<T>): Subscription<T> {
    const objects = () => this.#subscription?.objects() ?? [];
    for (const object of objects()) handlers.onAdd(object);
    this.#listeners = [...this.#listeners, handlers];
    return {
      synced: this.#synced.promise,
      confirmed: this.#confirmed.promise,
      objects,
      close: () => {
        this.#listeners = this.#listeners.filter((listener) => listener !== handlers);
      },
    };
  }

  /** As `add`, for the objects that are selected. */
  choose(isSelected: (object: T) => boolean, handlers: ObjectHandlers<T>): Subscription<T> {
    const { objects, ...rest } = this.add({
      onAdd: (object) => {
        if (isSelected(object)) handlers.onAdd(object);
      },
      onUpdate: (object, old) => {
        if (!isSelected(object)) {
          if (isSelected(old)) handlers.onDelete(old);
        } else if (isSelected(old)) handlers.onUpdate(object, old);
        else handlers.onAdd(object);
      },
      onDelete: (object) => {
        if (isSelected(object)) handlers.onDelete(object);
      },
    });
    return { ...rest, objects: () => objects().filter(isSelected) };
  }

  /** A listener that is added by another one's handler is not called: `add` has told it already. */
  #tell(call: (listener: ObjectHandlers<T>) => void): void {
    this.#note();
    for (const listener of this.#listeners) call(listener);
  }
}
