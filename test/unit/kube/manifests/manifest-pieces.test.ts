import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { parseManifest } from '../../../../src/kube/manifests/manifest-file.ts';
import { splitManifest } from '../../../../src/kube/manifests/manifest-pieces.ts';
import { type Resource, services } from '../../../../src/kube/resources.ts';
import type { Service } from '../../../../src/kube/types.ts';
import { serviceObject } from '../../../support/kube.ts';

const list = (kind: string, names: readonly string[], indent?: number) =>
  JSON.stringify(
    { apiVersion: 'v1', kind, items: names.map((name) => serviceObject(name)) },
    undefined,
    indent,
  );

describe('pieces', () => {
  test.each([
    {
      name: 'documents',
      text: 'a: 1\n---\nb: 2\n--- # c\nc: 3\n',
      want: ['a: 1\n', '---\nb: 2\n', '--- # c\nc: 3\n'],
    },
    { name: 'one document', text: 'a: 1\n', want: ['a: 1\n'] },
    { name: 'dashes within a text', text: 'a: |\n  ---\n  x\n', want: ['a: |\n  ---\n  x\n'] },
    {
      name: 'a directive',
      text: '%YAML 1.2\n---\na: 1\n---\nb: 2\n',
      want: ['%YAML 1.2\n---\na: 1\n---\nb: 2\n'],
    },
    {
      name: 'a document end marker',
      text: 'a: 1\n...\n---\nb: 2\n',
      want: ['a: 1\n...\n---\nb: 2\n'],
    },
    { name: 'JSON that is no list', text: '{"a":[{"b":1}]}', want: ['{"a":[{"b":1}]}'] },
    {
      name: 'items of something else',
      text: '{"kind":"X","items":[{"b":1}]}',
      want: ['{"kind":"X","items":[{"b":1}]}'],
    },
    {
      name: 'broken JSON',
      text: '{"kind":"List","items":[{"b":1}',
      want: ['{"kind":"List","items":[{"b":1}'],
    },
    { name: 'nothing', text: '', want: [] },
  ])('$name', async ({ text, want }) => {
    expect((await splitManifest(text)).map((piece) => piece.text)).toEqual(want);
  });

  test.each([undefined, 2])(
    'a JSON list by items (indent %s), each at its place',
    async (indent) => {
      const text = list('List', ['ü', 'b', 'c'], indent);
      const pieces = await splitManifest(text);
      expect(pieces.map((piece) => JSON.parse(piece.text).metadata.name)).toEqual(['ü', 'b', 'c']);
      for (const [index, { before, path, text: piece }] of pieces.entries()) {
        const { lines, characters } = before();
        expect(text.split('\n').slice(lines).join('\n').slice(characters).startsWith(piece)).toBe(
          true,
        );
        expect(path).toEqual(['items', index]);
      }
    },
  );
});

describe('a changed text', () => {
  /** Counts how often an object is decoded. */
  function counting() {
    const decoded: string[] = [];
    const resource: Pick<Resource<Service>, 'decode'> = {
      decode: (value, mode) => {
        const service = services.decode(value, mode);
        decoded.push(service.metadata.name);
        return service;
      },
    };
    return { decoded, wanted: new Map([['v1 Service', resource]]) };
  }

  const yaml = (names: readonly string[]) =>
    names.map((name) => stringify(serviceObject(name))).join('---\n');

  test.each([
    { name: 'YAML', write: yaml },
    { name: 'List', write: (names: readonly string[]) => list('List', names) },
    { name: 'ServiceList', write: (names: readonly string[]) => list('ServiceList', names) },
  ])('of $name costs as much as what changed in it', async ({ write }) => {
    const { decoded, wanted } = counting();
    const before = await parseManifest(write(['a', 'b', 'c', 'd']), wanted);
    decoded.length = 0;
    const after = await parseManifest(write(['new', 'b', 'x', 'd', 'a']), wanted, before);
    // The first YAML document has no marker before it, so its text changes when it moves.
    expect(decoded.filter((name) => name !== 'a').sort()).toEqual(['new', 'x']);
    const names = [...after.values()].flatMap(({ objects }) =>
      objects.map(({ object }) => object.metadata.name),
    );
    expect(names).toEqual(['new', 'b', 'x', 'd', 'a']);
    const kept = [...before.values()].flatMap(({ objects }) => objects);
    const all = new Set([...after.values()].flatMap(({ objects }) => objects));
    expect(kept.filter((entry) => all.has(entry)).length).toBeGreaterThanOrEqual(2);
  });
});

test('an item of a JSON list that is wrong is named with its place', async () => {
  const text = list('ServiceList', ['a', 'b'], 1).replace('"name": "b"', '"name": 5');
  const line = text.split('\n').findIndex((candidate) => candidate.includes('"name": 5')) + 1;
  await expect(parseManifest(text, new Map([['v1 Service', services]]))).rejects.toMatchObject({
    key: 'items[1].metadata.name',
    line,
  });
});
