import { toError, WeftError } from '../util/errors.ts';
import { Turn } from '../util/turns.ts';
import { objectKey } from './resources.ts';
import { isSameValue } from './same.ts';
import type { ObjectHandlers } from './source.ts';
import type { KubernetesObject } from './types.ts';

/** A consumer's handler threw. Never retried: see ObjectHandlers. */
export class HandlerError extends WeftError {
  constructor(event: string, key: string, cause: unknown) {
    super('HANDLER', `${event} handler for ${key}: ${toError(cause).message}`, { cause });
  }
}

export type IsSame<T> = (a: T, b: T) => boolean;

/** The objects of one kind by key (`namespace/name`); tells its handlers of every real difference. */
export class ObjectStore<T extends KubernetesObject> {
  #objects: Map<string, T> = new Map();
  #changes = 0;
  readonly #handlers: ObjectHandlers<T>;
  readonly #isSame: IsSame<T>;

  constructor(handlers: ObjectHandlers<T>, isSame: IsSame<T>) {
    this.#handlers = handlers;
    this.#isSame = isSame;
  }

  get size(): number {
    return this.#objects.size;
  }

  /** Differences told so far: equal numbers mean equal contents. */
  get changes(): number {
    return this.#changes;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  values(): T[] {
    return [...this.#objects.values()];
  }

  entries(): Iterable<[string, T]> {
    return this.#objects;
  }

  set(object: T, isSame: IsSame<T> = this.#isSame): void {
    const key = objectKey(object);
    const old = this.#objects.get(key);
    if (old !== undefined && isSame(old, object)) return;
    const renewed = old && withVersionOf(old, object);
    // Of what we read nothing changed, as with a heartbeat: only the version is noted.
    const isRenewed = renewed !== undefined && isSameValue(renewed, object);
    this.#objects.set(key, isRenewed ? renewed : object);
    if (isRenewed) return;
    if (old === undefined) this.#tell('add', key, () => this.#handlers.onAdd(object));
    else this.#tell('update', key, () => this.#handlers.onUpdate(object, old));
  }

  delete(key: string): void {
    const old = this.#objects.get(key);
    if (old === undefined) return;
    this.#objects.delete(key);
    this.#tell('delete', key, () => this.#handlers.onDelete(old));
  }

  /**
   * Makes the contents equal to `next`; nothing else may change the store meanwhile. Deletions come
   * first, so that an address which moved from a deleted object to a new one is free when the new
   * one arrives. The differences are told together unless there are so many that others must get
   * their turn in between.
   */
  async replace(next: ReadonlyMap<string, T>, isSame: IsSame<T> = this.#isSame): Promise<void> {
    const searching = new Turn();
    const gone = [...this.#objects.keys()].filter((key) => !next.has(key));
    const changed: T[] = [];
    for (const [key, object] of next) {
      const old = this.#objects.get(key);
      if (old === undefined || !isSame(old, object)) changed.push(object);
      if (searching.isOver) await searching.next();
    }
    const telling = new Turn();
    for (const key of gone) {
      this.delete(key);
      if (telling.isOver) await telling.next();
    }
    for (const object of changed) {
      this.set(object, isSame);
      if (telling.isOver) await telling.next();
    }
  }

  #tell(event: string, key: string, call: () => void): void {
    this.#changes++;
    try {
      call();
    } catch (thrown) {
      throw new HandlerError(event, key, thrown);
    }
  }
}

/** The old object, whose parts listeners hold, at the version of the new one. */
function withVersionOf<T extends KubernetesObject>(old: T, { metadata }: KubernetesObject): T {
  const { resourceVersion } = metadata;
  return { ...old, metadata: { ...old.metadata, resourceVersion } };
}
