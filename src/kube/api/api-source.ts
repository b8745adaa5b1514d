import type { Clock } from '../../util/clock.ts';
import type { Logger } from '../../util/log.ts';
import type { Resource } from '../resources.ts';
import type { ObjectHandlers, ObjectSource, Subscription } from '../source.ts';
import type { KubernetesObject } from '../types.ts';
import type { BackoffLimits } from './backoff.ts';
import type { ApiClient } from './client.ts';
import { Reflector, type ReflectorCounts } from './reflector.ts';

export interface ApiSourceOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly backoff?: BackoffLimits;
}

interface AnyReflector {
  readonly hasSynced: boolean;
  readonly counts: ReflectorCounts;
  run(signal: AbortSignal): Promise<void>;
}

/** Objects from an API server, one list and watch per registration. */
export class ApiSource implements ObjectSource {
  readonly #options: ApiSourceOptions;
  readonly #reflectors: { readonly plural: string; readonly reflector: AnyReflector }[] = [];
  #signal: AbortSignal | undefined;

  constructor(options: ApiSourceOptions) {
    this.#options = options;
  }

  watch<T extends KubernetesObject>(
    resource: Resource<T>,
    handlers: ObjectHandlers<T>,
  ): Subscription {
    const reflector = new Reflector({ ...this.#options, resource, handlers });
    this.#reflectors.push({ plural: resource.plural, reflector });
    if (this.#signal !== undefined) runToEnd(reflector, this.#signal);
    return reflector;
  }

  start(signal: AbortSignal): void {
    this.#signal = signal;
    for (const { reflector } of this.#reflectors) runToEnd(reflector, signal);
    signal.addEventListener('abort', () => this.#options.client.close(), { once: true });
  }

  hasSynced(): boolean {
    return this.#reflectors.every(({ reflector }) => reflector.hasSynced);
  }

  /** One entry per registration, in order; for metrics. */
  counts(): readonly { readonly plural: string; readonly counts: ReflectorCounts }[] {
    return this.#reflectors.map(({ plural, reflector }) => ({ plural, counts: reflector.counts }));
  }
}

/** A rejection is a bug in a handler and must end the process, so it is left unhandled on purpose. */
function runToEnd(reflector: AnyReflector, signal: AbortSignal): void {
  void reflector.run(signal);
}
