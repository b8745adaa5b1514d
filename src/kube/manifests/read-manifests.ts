import { join } from 'node:path';
import { IoError, toError } from '../../util/errors.ts';
import type { Resource, ResourceKind } from '../resources.ts';
import type { KubernetesObject } from '../types.ts';
import { readDirectory } from './manifest-directory.ts';
import {
  type Decoder,
  kindId,
  ManifestError,
  type ManifestObject,
  parseManifest,
} from './manifest-file.ts';

/** A kind to read, of whatever objects. */
export type ReadableKind = ResourceKind & Decoder;

/** What one reading of a directory found. */
export interface Manifests {
  /** The objects of a kind, as far as it was asked for. */
  of<T extends KubernetesObject>(resource: Resource<T>): readonly T[];
  /** `<file>:<line>:<column>: <what is wrong>`, and objects that stand in two files. */
  readonly problems: readonly string[];
  /** How many objects have no effect, by kind (`apps/v1 Deployment`). */
  readonly passedOver: ReadonlyMap<string, number>;
}

/** Reads the manifests right below a directory once. Throws IoError for one that cannot be listed. */
export async function readManifests(
  directory: string,
  kinds: readonly ReadableKind[],
): Promise<Manifests> {
  const wanted = new Map(kinds.map((kind) => [kindId(kind), kind]));
  const found = new Map<string, ManifestObject>();
  const problems: string[] = [];
  const passedOver = new Map<string, number>();
  for (const [name, text] of await textsIn(directory)) {
    try {
      if (text instanceof Error) throw text;
      for (const { objects, passedOver: unused } of (await parseManifest(text, wanted)).values()) {
        for (const { kind } of unused) passedOver.set(kind, (passedOver.get(kind) ?? 0) + 1);
        for (const object of objects) {
          const id = `${object.kindId} ${object.key}`;
          if (found.has(id)) problems.push(`${join(directory, name)}: ${id} is there twice`);
          found.set(id, object);
        }
      }
    } catch (thrown) {
      problems.push(`${join(directory, name)}${placeOf(thrown)}: ${toError(thrown).message}`);
    }
  }
  return {
    of: <T extends KubernetesObject>(resource: Resource<T>) => {
      const id = kindId(resource);
      const ofKind = [...found.values()].filter(({ kindId: kind }) => kind === id);
      // Objects of a kind id were made by that kind's decoder.
      return ofKind.map(({ object }) => object as T).filter(resource.isSelected);
    },
    problems,
    passedOver,
  };
}

async function textsIn(directory: string): Promise<readonly (readonly [string, string | Error])[]> {
  try {
    const { files } = await readDirectory(directory, () => true);
    return [...files].map(([name, { text }]) => [name, text] as const);
  } catch (cause) {
    throw new IoError(`${directory}: ${toError(cause).message}`, { cause });
  }
}

function placeOf(thrown: unknown): string {
  return thrown instanceof ManifestError ? `:${thrown.line}:${thrown.column}` : '';
}
