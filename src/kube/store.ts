import { toError, WeftError } from '../util/errors.ts';
import { objectKey } from './resources.ts';
import type { ObjectHandlers } from './source.ts';
import type { KubernetesObject } from './types.ts';

/** A consumer's handler threw. Never retried: see ObjectHandlers. */
export class HandlerError extends WeftError {
  constructor(event: string, key: string, cause: unknown) {
    super('HANDLER', `${event} handler for ${key}: ${toError(cause).message}`, { cause });
  }
}

/** The objects of one kind by key (`namespace/name`); tells its handlers of every real difference. */
export class ObjectStore<T extends KubernetesObject> {
  #objects: Map<string, T> = new Map();
  readonly #handlers: ObjectHandlers<T>;
  readonly #isSame: (a: T, b: T) => boolean;

  constructor(handlers: ObjectHandlers<T>, isSame: (a: T, b: T) => boolean) {
    this.#handlers = handlers;
    this.#isSame = isSame;
  }

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  set(object: T): void {
    const key = objectKey(object);
    const old = this.#objects.get(key);
    if (old !== undefined && this.#isSame(old, object)) return;
    this.#objects.set(key, object);
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
   * Makes the contents equal to `next`. Deletions come first, so that an address which moved from a
   * deleted object to a new one is free when the new one arrives.
   */
  replace(next: ReadonlyMap<string, T>): void {
    for (const key of [...this.#objects.keys()]) if (!next.has(key)) this.delete(key);
    for (const object of next.values()) this.set(object);
  }

  #tell(event: string, key: string, call: () => void): void {
    try {
      call();
    } catch (thrown) {
      throw new HandlerError(event, key, thrown);
    }
  }
}
