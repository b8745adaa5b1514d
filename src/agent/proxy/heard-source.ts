import type { Resource } from '../../kube/resources.ts';
import type { ObjectHandlers, ObjectSource, Subscription } from '../../kube/source.ts';
import type { KubernetesObject } from '../../kube/types.ts';
import type { Clock } from '../../util/clock.ts';

/** A source that remembers when it last told of something. */
export class HeardSource implements ObjectSource {
  readonly #source: ObjectSource;
  readonly #clock: Clock;
  #lastEventAtMs: number | undefined;

  constructor(source: ObjectSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** Milliseconds since the epoch; undefined before the first event. */
  get lastEventAtMs(): number | undefined {
    return this.#lastEventAtMs;
  }

  watch<T extends KubernetesObject>(
    resource: Resource<T>,
    handlers: ObjectHandlers<T>,
  ): Subscription {
    const note = () => {
      this.#lastEventAtMs = this.#clock.now();
    };
    return this.#source.watch(resource, {
      onAdd: (object) => {
        note();
        handlers.onAdd(object);
      },
      onUpdate: (object, old) => {
        note();
        handlers.onUpdate(object, old);
      },
      onDelete: (object) => {
        note();
        handlers.onDelete(object);
      },
    });
  }

  start(signal: AbortSignal): void {
    this.#source.start(signal);
  }

  hasSynced(): boolean {
    return this.#source.hasSynced();
  }
}
