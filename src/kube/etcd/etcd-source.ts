import type { BackoffLimits } from '../api/backoff.ts';
import type { ReflectorCounts } from '../api/reflector.ts';
import { ServerSource, type ServerSourceOptions } from '../api/server-source.ts';
import type { PassedOverKind } from '../manifests/manifest-set.ts';
import type { Resource, ResourceKind } from '../resources.ts';
import type { ObjectHandlers, ObjectSource, Subscription } from '../source.ts';
import type { KubernetesObject } from '../types.ts';
import { type EntryLayout, entryResource, objectLayout } from './entries.ts';
import { EntryBook, passedOverOf } from './entry-book.ts';
import { EtcdServer, type KeptKind } from './etcd-server.ts';
import { etcdFailureWords } from './failure-words.ts';
import type { EtcdGateway } from './gateway.ts';

export interface EtcdSourceOptions extends Omit<ServerSourceOptions, 'client' | 'wordsOf'> {
  readonly gateway: EtcdGateway;
  /** `/weft`: without a slash at its end. */
  readonly prefix: string;
  /** How kinds lie that are not below the prefix, by plural. */
  readonly layouts?: ReadonlyMap<string, EntryLayout>;
  readonly pageSize?: number;
}

/** Whoever waits for etcd is back two seconds after it. */
const BACKOFF: BackoffLimits = { minMs: 100, maxMs: 800 };

/** Objects whose JSON somebody puts into etcd. */
export class EtcdSource implements ObjectSource {
  readonly #options: EtcdSourceOptions;
  readonly #server: EtcdServer;
  readonly #source: ServerSource;
  /** By plural. */
  readonly #kinds = new Map<string, KeptKind>();

  constructor(options: EtcdSourceOptions) {
    this.#options = options;
    this.#server = new EtcdServer({ ...options, kindOf: (resource) => this.#kindOf(resource) });
    this.#source = new ServerSource({
      ...{ backoff: BACKOFF, ...options },
      client: this.#server,
      wordsOf: etcdFailureWords,
    });
  }

  /** Newest revision that is known. */
  get revision(): number | undefined {
    return this.#server.history.last?.revision;
  }

  /** Values that have no effect. */
  get passedOver(): readonly PassedOverKind[] {
    return passedOverOf(Array.from(this.#kinds.values(), ({ book }) => book));
  }

  /** Of all objects of a kind, selected or not. */
  async names(resource: ResourceKind, signal: AbortSignal): Promise<readonly string[]> {
    return this.#server.names(resource, signal);
  }

  watch<T extends KubernetesObject>(
    resource: Resource<T>,
    handlers: ObjectHandlers<T>,
  ): Subscription<T> {
    const { layout, book } = this.#kindOf(resource);
    return this.#source.watch(entryResource(resource, layout, book), handlers);
  }

  start(signal: AbortSignal): void {
    this.#source.start(signal);
  }

  hasSynced(): boolean {
    return this.#source.hasSynced();
  }

  counts(): readonly { readonly plural: string; readonly counts: ReflectorCounts }[] {
    return this.#source.counts();
  }

  stateProblems(): readonly string[] {
    return this.#source.stateProblems();
  }

  async saveState(): Promise<void> {
    await this.#source.saveState();
  }

  #kindOf(resource: ResourceKind): KeptKind {
    const { prefix, layouts } = this.#options;
    const { plural } = resource;
    const layout = layouts?.get(plural) ?? objectLayout(prefix, resource);
    const kind = this.#kinds.get(plural) ?? { layout, book: new EntryBook() };
    this.#kinds.set(plural, kind);
    return kind;
  }
}
