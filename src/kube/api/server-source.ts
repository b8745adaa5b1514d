import type { Clock } from '../../util/clock.ts';
import type { Logger } from '../../util/log.ts';
import type { Resource, ResourceKind } from '../resources.ts';
import type { ObjectHandlers, ObjectSource, Subscription } from '../source.ts';
import { LastKnownObjects, type Snapshot } from '../state/last-known.ts';
import type { KubernetesObject } from '../types.ts';
import { listPath } from './api-path.ts';
import type { BackoffLimits } from './backoff.ts';
import type { ObjectServer } from './object-server.ts';
import { Reflector, type ReflectorCounts, type ReflectorOptions } from './reflector.ts';
import type { Replica } from './replica.ts';

export interface ServerSourceOptions {
  readonly client: ObjectServer;
  readonly wordsOf?: ReflectorOptions<KubernetesObject>['wordsOf'];
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly backoff?: BackoffLimits;
  /** Lists that take away more than half of the Services or endpoints are believed at once. */
  readonly allowMassDeletion?: boolean;
  /** How long the deletions of such a list are held back otherwise. */
  readonly massDeletionHoldMs?: number;
  /** Where the objects are kept for a start without the server; nowhere when absent. */
  readonly stateDirectory?: string;
  /** How long to wait for the server before the kept objects are used. */
  readonly restoreAfterMs?: number;
  /** Shortest time between two writes of the kept objects. */
  readonly saveEveryMs?: number;
}

const MASS_DELETION_HOLD_MS = 300_000;
const RESTORE_AFTER_MS = 5_000;

/** What a source does with a reflector, whatever its type of objects. */
interface AnyReflector {
  readonly counts: ReflectorCounts;
  readonly replica: Pick<
    Replica<KubernetesObject>,
    'hasSynced' | 'changes' | 'objects' | 'restore' | 'size'
  >;
  run(signal: AbortSignal): Promise<void>;
}

interface Registration {
  readonly plural: string;
  /** Tells the lists of a state file apart. */
  readonly list: string;
  readonly isHeld: boolean;
  /** The list of a wider choice, which has the same objects and others. */
  readonly wider: string | undefined;
  readonly reflector: AnyReflector;
  /** Of this reading alone. */
  readonly ending: AbortController;
}

/** Objects from a server, one list and watch per registration. */
export class ServerSource implements ObjectSource {
  readonly #options: ServerSourceOptions;
  #registrations: readonly Registration[] = [];
  readonly #lastKnown: LastKnownObjects | undefined;
  #signal: AbortSignal | undefined;

  constructor(options: ServerSourceOptions) {
    this.#options = options;
    const { client, stateDirectory: directory } = options;
    if (directory === undefined) return;
    this.#lastKnown = new LastKnownObjects({
      ...options,
      directory,
      clusterIdentity: () => client.clusterIdentity(),
      snapshot: () => this.#snapshot(),
      isHeld: (list) => this.#registrations.some((each) => each.isHeld && each.list === list),
    });
  }

  watch<T extends KubernetesObject>(
    resource: Resource<T>,
    handlers: ObjectHandlers<T>,
  ): Subscription<T> {
    const { allowMassDeletion, massDeletionHoldMs = MASS_DELETION_HOLD_MS } = this.#options;
    const holdMs = allowMassDeletion === true ? 0 : massDeletionHoldMs;
    const list = listOf(resource);
    const lastKnown =
      resource.isHeldFromLastRun === true ? async () => this.#lastKnown?.readHeld(list) : undefined;
    const reflector = new Reflector({ ...this.#options, resource, handlers, holdMs, lastKnown });
    const { plural, within, isHeldFromLastRun: isHeld = false } = resource;
    const wider = within && listOf(within);
    const ending = new AbortController();
    const registration = { plural, list, isHeld, wider, reflector, ending };
    this.#registrations = [...this.#registrations, registration];
    if (this.#signal !== undefined) this.#run(registration, this.#signal);
    const { replica } = reflector;
    const { synced, confirmed } = replica;
    return {
      ...{ synced, confirmed, objects: () => replica.objects() },
      close: () => {
        this.#registrations = this.#registrations.filter((each) => each !== registration);
        ending.abort();
      },
    };
  }

  start(signal: AbortSignal): void {
    this.#signal = signal;
    for (const registration of this.#registrations) this.#run(registration, signal);
    this.#lastKnown?.start(signal);
    signal.addEventListener('abort', () => this.#options.client.close(), { once: true });
  }

  hasSynced(): boolean {
    return this.#registrations.every(({ reflector }) => reflector.replica.hasSynced);
  }

  /** One entry per registration, in order; for metrics. */
  counts(): readonly { readonly plural: string; readonly counts: ReflectorCounts }[] {
    return this.#registrations.map(({ plural, reflector }) => ({
      plural,
      counts: reflector.counts,
    }));
  }

  /** What is wrong besides the requests themselves, in words. */
  stateProblems(): readonly string[] {
    const problem = this.#lastKnown?.problem;
    return problem === undefined ? [] : [problem];
  }

  /** Writes the objects for a later start without the server; failures are logged. For shutdown. */
  async saveState(): Promise<void> {
    await this.#lastKnown?.save();
  }

  /** A rejection is a bug in a handler and must end the process, so it is left unhandled on purpose. */
  #run(registration: Registration, whole: AbortSignal): void {
    const { reflector, ending } = registration;
    if (whole.aborted) ending.abort();
    whole.addEventListener('abort', () => ending.abort(), { once: true, signal: ending.signal });
    const { signal } = ending;
    void reflector.run(signal);
    const { clock, restoreAfterMs = RESTORE_AFTER_MS } = this.#options;
    if (this.#lastKnown === undefined) return;
    const cancel = clock.schedule(restoreAfterMs, () => void this.#restore(registration, signal));
    signal.addEventListener('abort', cancel, { once: true });
  }

  async #restore(registration: Registration, signal: AbortSignal): Promise<void> {
    const { list, wider, plural, reflector } = registration;
    if (reflector.replica.hasSynced) return;
    const ofWider = async () => (wider === undefined ? undefined : this.#lastKnown?.read(wider));
    const values = (await this.#lastKnown?.read(list)) ?? (await ofWider());
    if (values === undefined || signal.aborted || reflector.replica.hasSynced) return;
    await reflector.replica.restore(values);
    this.#options.log.warn(
      { resource: plural, objects: reflector.replica.size },
      'the server is not reached yet, going on with the last known objects',
    );
  }

  /** Nothing before every kind was read once: a partial file would replace a whole one. */
  #snapshot(): Snapshot | undefined {
    const isRestored = this.#registrations.some(({ reflector }) => reflector.counts.isRestored);
    if (!this.hasSynced() || isRestored) return undefined;
    const lists = this.#registrations.map(
      ({ list, reflector }) => [list, reflector.replica.objects()] as const,
    );
    const revision = this.#registrations.map(({ reflector }) => reflector.replica.changes).join();
    return { revision, lists: new Map(lists) };
  }
}

function listOf(resource: ResourceKind): string {
  return listPath({ resource, usesFieldSelector: true }, 0, '');
}
