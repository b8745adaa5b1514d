import type { Resource } from '../../../../src/kube/resources.ts';
import type { ObjectHandlers, ObjectSource } from '../../../../src/kube/source.ts';
import { ObjectStore } from '../../../../src/kube/store.ts';
import type { KubernetesObject } from '../../../../src/kube/types.ts';

/** What the test puts, by plural and field selector. */
export class FakeSource implements ObjectSource {
  readonly open = new Map<
    string,
    { store: ObjectStore<KubernetesObject>; sync: () => void; confirm: () => void }
  >();

  watch<T extends KubernetesObject>(resource: Resource<T>, handlers: ObjectHandlers<T>) {
    const name = readingOf(resource);
    const [synced, confirmed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    // The test puts objects of the kind.
    const store = new ObjectStore(
      handlers as unknown as ObjectHandlers<KubernetesObject>,
      () => false,
    );
    this.open.set(name, { store, sync: synced.resolve, confirm: confirmed.resolve });
    return {
      ...{ synced: synced.promise, confirmed: confirmed.promise },
      objects: () => store.values() as T[],
      close: () => void this.open.delete(name),
    };
  }

  put(reading: string, object: KubernetesObject): void {
    this.open.get(reading)?.store.set(object);
  }

  remove(reading: string, key: string): void {
    this.open.get(reading)?.store.delete(key);
  }

  /** Everything was read; `confirms`: by the server itself. */
  async syncAll(confirms = true): Promise<void> {
    for (const { sync, confirm } of this.open.values()) {
      sync();
      if (confirms) confirm();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }

  start(): void {}

  hasSynced(): boolean {
    return false;
  }
}

export const readingOf = ({ plural, fieldSelector }: { plural: string; fieldSelector?: string }) =>
  `${plural} ${fieldSelector ?? ''}`;
