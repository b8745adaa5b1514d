import type { ServiceAddresses } from './decode-service-addresses.ts';
import { objectKey, type Resource, serviceAddresses, services } from './resources.ts';
import { isSameValue } from './same.ts';
import type { ObjectHandlers, ObjectSource, Subscription } from './source.ts';
import type { KubernetesObject, Service } from './types.ts';

/**
 * A source whose Services have the addresses that are noted beside them: whoever writes a Service there writes
 * the whole of it, and would take its status away each time.
 */
export class AddressedServices implements ObjectSource {
  readonly #source: ObjectSource;
  readonly #notes = new Map<string, ServiceAddresses>();
  readonly #followers = new Set<MergedServices>();
  #reading: Subscription<ServiceAddresses> | undefined;

  constructor(source: ObjectSource) {
    this.#source = source;
  }

  /** As read last, by `namespace/name` of the Service. */
  get notes(): ReadonlyMap<string, ServiceAddresses> {
    return this.#notes;
  }

  watch<T extends KubernetesObject>(
    resource: Resource<T>,
    handlers: ObjectHandlers<T>,
  ): Subscription<T> {
    if (resource.plural !== services.plural) return this.#source.watch(resource, handlers);
    const notesRead = this.#readNotes();
    // The plural says what T is.
    const ofServices = handlers as unknown as ObjectHandlers<Service>;
    const merged = new MergedServices(ofServices, this.#notes);
    this.#followers.add(merged);
    const read = this.#source.watch(resource as unknown as Resource<Service>, {
      onAdd: (service) => merged.put(service),
      onUpdate: (service) => merged.put(service),
      onDelete: (service) => merged.delete(service),
    });
    return {
      synced: both(read.synced, notesRead.synced),
      confirmed: both(read.confirmed, notesRead.confirmed),
      objects: () => {
        this.#renewNotes();
        return merged.list(read.objects()) as readonly KubernetesObject[] as readonly T[];
      },
      close: () => {
        this.#followers.delete(merged);
        read.close();
      },
    };
  }

  start(signal: AbortSignal): void {
    this.#source.start(signal);
  }

  hasSynced(): boolean {
    return this.#source.hasSynced();
  }

  #readNotes(): Subscription<ServiceAddresses> {
    const put = (note: ServiceAddresses) => {
      this.#notes.set(objectKey(note), note);
      this.#tell(objectKey(note));
    };
    this.#reading ??= this.#source.watch(serviceAddresses, {
      ...{ onAdd: put, onUpdate: put },
      onDelete: (note) => {
        this.#notes.delete(objectKey(note));
        this.#tell(objectKey(note));
      },
    });
    return this.#reading;
  }

  /** A version alone is not told of, and whoever writes names the version. */
  #renewNotes(): void {
    for (const note of this.#reading?.objects() ?? []) {
      const key = objectKey(note);
      if (this.#notes.has(key)) this.#notes.set(key, note);
    }
  }

  #tell(key: string): void {
    for (const follower of this.#followers) follower.tell(key);
  }
}

/** Services with what is noted of them, as one who listens was told. */
class MergedServices {
  readonly #handlers: ObjectHandlers<Service>;
  readonly #notes: ReadonlyMap<string, ServiceAddresses>;
  readonly #written = new Map<string, Service>();
  readonly #told = new Map<string, Service>();

  constructor(handlers: ObjectHandlers<Service>, notes: ReadonlyMap<string, ServiceAddresses>) {
    this.#handlers = handlers;
    this.#notes = notes;
  }

  /** As told, at the versions that they have now: of a version alone nobody is told. */
  list(current: readonly Service[]): readonly Service[] {
    for (const service of current) {
      const { metadata } = service;
      const key = objectKey(service);
      const told = this.#told.get(key);
      if (told === undefined || told.metadata === metadata) continue;
      this.#written.set(key, service);
      this.#told.set(key, { ...told, metadata });
    }
    return [...this.#told.values()];
  }

  put(service: Service): void {
    const key = objectKey(service);
    this.#written.set(key, service);
    this.tell(key);
  }

  delete(service: Service): void {
    const key = objectKey(service);
    const old = this.#told.get(key);
    this.#written.delete(key);
    this.#told.delete(key);
    if (old !== undefined) this.#handlers.onDelete(old);
  }

  tell(key: string): void {
    const written = this.#written.get(key);
    if (written === undefined) return;
    const old = this.#told.get(key);
    const service = withNote(written, this.#notes.get(key));
    if (old !== undefined && isSameValue(old, service)) return;
    this.#told.set(key, service);
    if (old === undefined) this.#handlers.onAdd(service);
    else this.#handlers.onUpdate(service, old);
  }
}

/** What is noted goes before what the Service was written with, also where that is nothing. */
function withNote(service: Service, note: ServiceAddresses | undefined): Service {
  if (note === undefined) return service;
  if (note.addresses.length === 0) return { ...service, status: undefined };
  const ingress = note.addresses.map((ip) => ({ ip, ipMode: 'VIP' as const }));
  return { ...service, status: { loadBalancer: { ingress } } };
}

async function both(one: Promise<void>, other: Promise<void>): Promise<void> {
  await Promise.all([one, other]);
}
