import { DecodeError, toError } from '../../util/errors.ts';
import { parseJson } from '../../util/json.ts';
import { asRecord } from '../api/watch-event.ts';
import { objectKey, type Resource, type ResourceKind } from '../resources.ts';
import type { KubernetesObject } from '../types.ts';
import type { EntryBook } from './entry-book.ts';

/** One key of etcd with its value, as `/v3/kv/range` and `/v3/watch` give it. */
export interface KeyValue {
  readonly key: string;
  readonly value: string;
  /** Revision that made the key; `0` where it is gone. */
  readonly createRevision: string;
  /** Revision that changed it last. */
  readonly modRevision: string;
  /** The etcd lease that the key ends with; `0` for none. */
  readonly leaseId: string;
}

/** A key that may hold an object, as the reflector's raw object. */
export class Entry {
  readonly metadata: {
    readonly name: string;
    /** Absent for what is of the whole cluster. */
    readonly namespace?: string;
    readonly resourceVersion: string;
  };
  readonly pair: KeyValue;

  constructor(place: ObjectPlace, pair: KeyValue) {
    this.metadata = { ...place, resourceVersion: pair.modRevision };
    this.pair = pair;
  }
}

export interface ObjectPlace {
  readonly name: string;
  readonly namespace?: string;
}

/** How the objects of one kind lie in etcd. */
export interface EntryLayout {
  /** All of their keys begin with it. */
  readonly prefix: string;
  /** Undefined: no key of an object. */
  readonly placeOf: (key: string) => ObjectPlace | undefined;
  /** What a key looks like, for people. */
  readonly pattern: string;
  /** The object's JSON value. Throws DecodeError. */
  readonly valueOf: (entry: Entry) => unknown;
}

/** Names of Kubernetes and no more: they come to people's eyes, and into keys of others. */
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,251}[A-Za-z0-9])?$/;

/** `<prefix>/<plural>/<namespace>/<name>`, without a namespace for what is of the whole cluster. */
export function objectLayout(prefix: string, resource: ResourceKind): EntryLayout {
  const { plural, isNamespaced } = resource;
  const start = `${prefix}/${plural}/`;
  return {
    prefix: start,
    pattern: `${start}${isNamespaced ? '<namespace>/' : ''}<name>`,
    placeOf: (key) => {
      const parts = key.slice(start.length).split('/');
      const [first = '', second = ''] = parts;
      if (!key.startsWith(start) || !parts.every((part) => NAME.test(part))) return undefined;
      if (parts.length !== (isNamespaced ? 2 : 1)) return undefined;
      return isNamespaced ? { namespace: first, name: second } : { name: first };
    },
    valueOf: (entry) => objectOf(entry, resource),
  };
}

/**
 * The JSON of a value with the name, namespace, version and age that etcd vouches for: whoever writes one
 * key cannot be older there than they are.
 */
function objectOf({ metadata: own, pair }: Entry, resource: ResourceKind): unknown {
  const value = parseJson(pair.value);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DecodeError('the value is not a JSON object');
  }
  const object = asRecord(value);
  const metadata = asRecord(object['metadata']);
  refuseOther('kind', object['kind'], resource.kind);
  refuseOther('apiVersion', object['apiVersion'], ...apiVersionsOf(resource));
  refuseOther('metadata.name', metadata['name'], own.name);
  if (own.namespace !== undefined) {
    refuseOther('metadata.namespace', metadata['namespace'], own.namespace);
  }
  const { creationTimestamp: _, ...rest } = metadata;
  return { ...object, metadata: { ...rest, ...own, uid: uidOf(pair) } };
}

/** Sorts as text by age. */
export function uidOf({ createRevision }: KeyValue): string {
  return `etcd-${createRevision.padStart(20, '0')}`;
}

function apiVersionsOf(resource: ResourceKind & { readonly olderVersions?: readonly string[] }) {
  const { group, version, olderVersions = [] } = resource;
  return [version, ...olderVersions].map((each) => (group === '' ? each : `${group}/${each}`));
}

/** What is not there is as the key says. */
function refuseOther(field: string, found: unknown, ...expected: readonly string[]): void {
  if (found === undefined || expected.some((each) => each === found)) return;
  const shown = typeof found === 'string' ? JSON.stringify(found.slice(0, 80)) : 'no text';
  throw new DecodeError(`${field} is ${shown}, the key says ${expected.join(' or ')}`);
}

/**
 * The kind as it is read from entries: strictly, as a person or a program of theirs wrote the value. What
 * has no effect is noted. Objects of the last run are taken as they are.
 */
export function entryResource<T extends KubernetesObject>(
  resource: Resource<T>,
  layout: EntryLayout,
  book: EntryBook,
): Resource<T> {
  const { whenUnreadable } = resource;
  return {
    ...resource,
    ...(whenUnreadable === undefined
      ? {}
      : { whenUnreadable: (raw, ...more) => whenUnreadable(readableOf(raw, layout), ...more) }),
    decode: (raw, mode) => {
      if (!(raw instanceof Entry)) return resource.decode(raw, mode);
      const { key } = raw.pair;
      try {
        const object = resource.decode(layout.valueOf(raw), 'strict');
        const unused = resource.isSelected(object) ? resource.whyUnused?.(object) : undefined;
        book.note(key, { kind: resource.kind, name: objectKey(object), reason: unused });
        return object;
      } catch (thrown) {
        const { name, namespace } = raw.metadata;
        const shown = namespace === undefined ? name : `${namespace}/${name}`;
        // What something else stands for has an effect, and is told of where that is seen.
        const reason = whenUnreadable === undefined ? toError(thrown).message : undefined;
        book.note(key, { kind: resource.kind, name: shown, reason });
        throw thrown;
      }
    },
  };
}

/** What of a raw object can be read: its JSON with its place, or its place alone. */
function readableOf(raw: unknown, layout: EntryLayout): unknown {
  if (!(raw instanceof Entry)) return raw;
  try {
    return layout.valueOf(raw);
  } catch {
    return raw;
  }
}
