import type { Selection } from './api-path.ts';
import type { WatchEvent } from './watch-event.ts';

/**
 * What a reflector reads from: whoever can list the objects of a kind as of one moment and tell from there
 * on what changes. A raw object has `metadata` with `name`, `namespace` and `resourceVersion`. What fails
 * is thrown as ApiError, IoError, BusyError or DecodeError.
 */
export interface ObjectServer {
  list<V>(request: ListRequest, convert: (object: unknown) => V): Promise<ConvertedList<V>>;
  /** Until the server ends the watch in good order. */
  watch(request: WatchRequest): Promise<void>;
  /** Tells clusters apart. Throws IoError. */
  clusterIdentity(): Promise<string>;
  close(): void;
}

export interface ListRequest extends Selection {
  readonly signal: AbortSignal;
}

export interface ConvertedList<V> {
  readonly objects: readonly V[];
  /** Where a watch that continues this list starts. */
  readonly resourceVersion: string;
  /** The server's data are not what the list before continued to: equal versions prove nothing. */
  readonly isOtherHistory?: boolean;
}

export interface WatchRequest extends Selection {
  readonly resourceVersion: string;
  /** The server has taken the watch. */
  readonly onOpen?: () => void;
  readonly onEvent: (event: WatchEvent) => void;
  readonly signal: AbortSignal;
}
