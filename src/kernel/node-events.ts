/**
 * What changes on the node, told from one place: one socket for each subject, however many listen. It
 * is opened for the first who listens and closed after the last.
 */
import type { NetlinkReply } from '../netlink/socket.ts';
import { type TableEvent, watchTables } from '../nftables/monitor.ts';
import { type LinkEvent, type LinkTopic, watchLinks } from './link-monitor.ts';
import { type RouteEvent, watchRoutes } from './route-monitor.ts';
import type { Netns } from './types.ts';

/** A closed one is told nothing more; closing it again does nothing. */
export interface Watch {
  close(): void;
}

/** `overflow`: the kernel had to drop events, so everything that they are about must be read again. */
export type LinkListener = (events: readonly LinkEvent[] | 'overflow') => void;
export type RouteListener = (events: readonly RouteEvent[] | 'overflow') => void;
export type TableListener = (event: TableEvent | 'overflow') => void;

/**
 * Read what is there after listening, not before: then no change falls in between. A listener that
 * throws keeps no other from being told; its error is thrown as one that nobody caught.
 */
export interface NodeEvents {
  /**
   * Links (made, gone, up, down, another MTU, another bridge), addresses, and switches of forwarding.
   * Each subject keeps its order, but there is none among them.
   */
  onLinks(topics: readonly LinkTopic[], listener: LinkListener): Watch;
  /**
   * Routes, permanent neighbours and forwarding entries, our own changes included. IPv4 routes that
   * go because their link goes down are not told (fib_table_flush): listen to links too.
   */
  onRoutes(listener: RouteListener): Watch;
  /**
   * Transactions of nf_tables, our own included, with the tables they changed and the program that
   * committed them. `onMessage` sees each single message.
   */
  onTables(listener: TableListener, onMessage?: (message: NetlinkReply) => void): Watch;
  /** Ends all watches. */
  close(): void;
}

/** Events of a namespace, by default that of this process. Opens nothing before somebody listens. */
export function openNodeEvents(netns?: Netns): NodeEvents {
  const links = new Map<LinkTopic, Source<readonly LinkEvent[] | 'overflow'>>();
  const routes = new Source<readonly RouteEvent[] | 'overflow'>((tell) => watchRoutes(netns, tell));
  const messages = new Listeners<NetlinkReply>();
  const tables = new Source<TableEvent | 'overflow'>((tell) =>
    watchTables(netns, tell, messages.tell),
  );
  const sourceOf = (topic: LinkTopic) => {
    const known = links.get(topic);
    if (known !== undefined) return known;
    const source = new Source<readonly LinkEvent[] | 'overflow'>((tell) =>
      watchLinks(netns, [topic], tell),
    );
    links.set(topic, source);
    return source;
  };
  return {
    onLinks: (topics, listener) =>
      allOf(topics.map((topic) => () => sourceOf(topic).listen(listener))),
    onRoutes: (listener) => routes.listen(listener),
    onTables: (listener, onMessage) =>
      allOf([
        () => tables.listen(listener),
        ...(onMessage === undefined ? [] : [() => messages.add(onMessage)]),
      ]),
    close() {
      messages.clear();
      for (const source of [...links.values(), routes, tables]) source.close();
    },
  };
}

/** Opens all or, when one of them fails, none. */
function allOf(opens: readonly (() => Watch)[]): Watch {
  const watches: Watch[] = [];
  const close = () => {
    for (const watch of watches) watch.close();
  };
  try {
    for (const open of opens) watches.push(open());
  } catch (thrown) {
    close();
    throw thrown;
  }
  return { close };
}

class Listeners<T> {
  /** By the watch of each: the same listener may be there twice. */
  readonly #listeners = new Map<Watch, (event: T) => void>();

  get isEmpty(): boolean {
    return this.#listeners.size === 0;
  }

  add(listener: (event: T) => void): Watch {
    const watch = { close: () => void this.#listeners.delete(watch) };
    this.#listeners.set(watch, listener);
    return watch;
  }

  clear(): void {
    this.#listeners.clear();
  }

  readonly tell = (event: T): void => {
    for (const listener of this.#listeners.values()) {
      try {
        listener(event);
      } catch (thrown) {
        queueMicrotask(() => {
          throw thrown;
        });
      }
    }
  };
}

/** One socket and those who listen to it. */
class Source<T> {
  readonly #open: (tell: (event: T) => void) => Watch;
  readonly #listeners = new Listeners<T>();
  #socket: Watch | undefined;

  constructor(open: (tell: (event: T) => void) => Watch) {
    this.#open = open;
  }

  listen(listener: (event: T) => void): Watch {
    this.#socket ??= this.#open(this.#listeners.tell);
    const watch = this.#listeners.add(listener);
    return {
      close: () => {
        watch.close();
        if (this.#listeners.isEmpty) this.close();
      },
    };
  }

  close(): void {
    this.#listeners.clear();
    this.#socket?.close();
    this.#socket = undefined;
  }
}
