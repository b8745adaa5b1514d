/**
 * What `kustomize build` makes of a kustomization, for the part of it that cni-conf/kustomize uses:
 * resources, components, JSON patches with a target. Comments stay. A test compares with kubectl's.
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, parse, parseAllDocuments } from 'yaml';
import { applyOperation, type Operation, parseOperations } from './json-patch.ts';

export interface Patch {
  readonly target: { readonly kind: string; readonly name: string };
  readonly operations: readonly Operation[];
}

interface Kustomization {
  readonly apiVersion: string;
  readonly kind: string;
  readonly resources?: readonly string[];
  readonly components?: readonly string[];
  readonly patches?: readonly {
    readonly target: Patch['target'];
    readonly path?: string;
    readonly patch?: string;
  }[];
}

const KNOWN_KEYS = new Set(['apiVersion', 'kind', 'resources', 'components', 'patches']);

/** The objects of the kustomization in a folder, in the order they are written. Throws RangeError. */
export function build(folder: string): readonly Document[] {
  return accumulate(folder, []);
}

/** As one file for `kubectl apply -f`. */
export function textOf(documents: readonly Document[]): string {
  const options = { lineWidth: 0, flowCollectionPadding: false, directives: false } as const;
  return documents.map((document) => document.toString(options)).join('---\n');
}

/** A component changes what was there before it. */
function accumulate(folder: string, before: readonly Document[]): readonly Document[] {
  const kustomization = readKustomization(folder);
  const own = (kustomization.resources ?? []).flatMap((path) => readResource(join(folder, path)));
  const all = (kustomization.components ?? []).reduce<readonly Document[]>(
    (objects, path) => accumulate(join(folder, path), objects),
    [...before, ...own],
  );
  for (const { target, path, patch } of kustomization.patches ?? []) {
    const text = path === undefined ? (patch ?? '') : readFileSync(join(folder, path), 'utf8');
    applyPatch(all, { target, operations: parseOperations(text) });
  }
  return all;
}

/** Changes the documents that are the target's. Throws RangeError when there is none. */
export function applyPatch(documents: readonly Document[], { target, operations }: Patch): void {
  const found = documents.filter((document) => {
    return (
      document.get('kind') === target.kind && document.getIn(['metadata', 'name']) === target.name
    );
  });
  if (found.length === 0) throw new RangeError(`patch: no ${target.kind} ${target.name}`);
  for (const document of found) {
    for (const operation of operations) applyOperation(document, operation);
  }
}

function readResource(path: string): readonly Document[] {
  return statSync(path).isDirectory() ? accumulate(path, []) : readDocuments(path);
}

function readDocuments(path: string): readonly Document[] {
  const documents = parseAllDocuments(readFileSync(path, 'utf8'));
  if ('empty' in documents) throw new RangeError(`${path}: empty`);
  for (const { errors } of documents) {
    if (errors[0] !== undefined) throw new RangeError(`${path}: ${errors[0].message}`);
  }
  return documents;
}

function readKustomization(folder: string): Kustomization {
  const path = join(folder, 'kustomization.yaml');
  // Written beside this file; keys that this program does not know end it below.
  const kustomization = parse(readFileSync(path, 'utf8')) as Kustomization;
  const unknown = Object.keys(kustomization).find((key) => !KNOWN_KEYS.has(key));
  if (unknown !== undefined) throw new RangeError(`${path}: ${unknown} is not known here`);
  return kustomization;
}
