import type { Resource } from './resources.ts';
import type { KubernetesObject } from './types.ts';

/**
 * Told of every difference between what the source holds and what was told before. Called one after
 * the other, never concurrently. A handler that throws ends the process: it is a bug, and going on
 * would leave the consumer with a state that no later event corrects. An object that was deleted and
 * made again may come as an update with another uid.
 */
export interface ObjectHandlers<T> {
  onAdd(object: T): void;
  onUpdate(object: T, old: T): void;
  /** Carries the last known state. */
  onDelete(object: T): void;
}

export interface Subscription<T> {
  /** Resolves once every object of the first complete reading went through `onAdd`. */
  readonly synced: Promise<void>;
  /**
   * Resolves once what was told is what the source itself holds. Later than `synced` where objects of
   * the last run were told first: those may lack what came since, so nothing is to be removed by them.
   */
  readonly confirmed: Promise<void>;
  /** As told so far. */
  objects(): readonly T[];
  /** The handlers hear no more, and what nobody else follows is no longer read. */
  close(): void;
}

/**
 * Where Kubernetes objects come from: an API server or a directory of manifest files. Each `watch`
 * reads for itself; SharedObjects reads once for several.
 */
export interface ObjectSource {
  /** Registers handlers for one kind; may be called before or after `start`. */
  watch<T extends KubernetesObject>(
    resource: Resource<T>,
    handlers: ObjectHandlers<T>,
  ): Subscription<T>;
  /** Begins to read; everything ends with the signal. Call once. */
  start(signal: AbortSignal): void;
  /** True once every kind registered so far has synced. */
  hasSynced(): boolean;
}
