import { objectKey, type StandInKind } from '../resources.ts';
import type { KubernetesObject, StandIn } from '../types.ts';
import type { ObjectChange } from './claims.ts';
import type { PassedOver } from './manifest-file.ts';

/**
 * Objects of one kind that another kind stands for: Endpoints give slices. They count for a group
 * (a Service) as long as no file holds an object of the kind itself for it, because whoever wrote
 * those out of a cluster has the same endpoints in both.
 */
export class StandIns<T extends KubernetesObject> {
  readonly kindId: string;
  readonly #kind: StandInKind<T>;
  readonly #standInId: string;
  /** Group of each object of the kind itself, by key. */
  readonly #groups = new Map<string, string>();
  /** How many objects of the kind itself a group has. */
  readonly #counts = new Map<string, number>();
  readonly #standIns = new Map<string, StandIn<T>>();
  /** What counts now, by group. */
  readonly #served = new Map<string, readonly T[]>();

  constructor(kindId: string, kind: StandInKind<T>) {
    this.kindId = kindId;
    this.#kind = kind;
    this.#standInId = `${kind.apiVersion} ${kind.kind}`;
  }

  /** What changes because of these changes. */
  follow(changes: readonly ObjectChange[]): readonly ObjectChange[] {
    const touched = new Set<string>();
    for (const { kindId, key, object } of changes) {
      if (kindId === this.#standInId) {
        touched.add(key);
        // Objects of this id were made by the stand-in's decoder, those of the other by the kind's.
        if (object === undefined) this.#standIns.delete(key);
        else this.#standIns.set(key, object as unknown as StandIn<T>);
      } else if (kindId === this.kindId) {
        for (const group of this.#place(key, object as T | undefined)) touched.add(group);
      }
    }
    return [...touched].flatMap((group) => this.#serve(group));
  }

  *objects(): Iterable<T> {
    for (const objects of this.#served.values()) yield* objects;
  }

  *passedOver(): Iterable<PassedOver> {
    for (const [key, { whyUnused }] of this.#standIns) {
      const reason =
        whyUnused ?? (this.#counts.has(key) ? `${this.kindId} objects are there too` : undefined);
      if (reason !== undefined) yield { kind: this.#standInId, key, reason };
    }
  }

  /** The groups that have one object more or less. */
  #place(key: string, object: T | undefined): readonly string[] {
    const before = this.#groups.get(key);
    const after = object && this.#kind.groupOf(object);
    if (before === after) return [];
    if (after === undefined) this.#groups.delete(key);
    else this.#groups.set(key, after);
    return [this.#count(before, -1), this.#count(after, 1)].flat();
  }

  #count(group: string | undefined, difference: number): readonly string[] {
    if (group === undefined) return [];
    const count = (this.#counts.get(group) ?? 0) + difference;
    if (count === 0) this.#counts.delete(group);
    else this.#counts.set(group, count);
    return [group];
  }

  #serve(group: string): readonly ObjectChange[] {
    const before = this.#served.get(group) ?? [];
    const after = this.#counts.has(group) ? [] : (this.#standIns.get(group)?.objects ?? []);
    if (after.length === 0) this.#served.delete(group);
    else this.#served.set(group, after);
    const kept = new Set(after.map(objectKey));
    const { kindId } = this;
    const gone = before.map(objectKey).filter((key) => !kept.has(key));
    return [
      ...gone.map((key) => ({ kindId, key, object: undefined })),
      ...after.map((object) => ({ kindId, key: objectKey(object), object })),
    ];
  }
}
