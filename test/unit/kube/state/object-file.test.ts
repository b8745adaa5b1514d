import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readObjects, writeObjects } from '../../../../src/kube/state/object-file.ts';

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weft-objects-'));
  path = join(directory, 'state', 'objects.jsonl');
});

afterEach(() => rmSync(directory, { recursive: true }));

const objects = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    metadata: { name: `s-${index}`, namespace: 'ü', resourceVersion: undefined },
  }));

const write = (count = 3) =>
  writeObjects(
    path,
    'cluster-a',
    new Map([
      ['services', objects(count)],
      ['nodes', []],
    ]),
  );

test('gives back what was written', async () => {
  await write(5000);
  const lists = await readObjects(path, 'cluster-a');
  expect([...lists.keys()]).toEqual(['services', 'nodes']);
  expect(lists.get('services')).toEqual(JSON.parse(JSON.stringify(objects(5000))));
  expect(lists.get('nodes')).toEqual([]);
});

test('replaces the file, which only root may read', async () => {
  await write(1);
  await write(2);
  expect((await readObjects(path, 'cluster-a')).get('services')).toHaveLength(2);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(directory, 'state')).mode & 0o777).toBe(0o700);
});

describe('is not taken', () => {
  const edit = (change: (text: string) => string) =>
    writeFileSync(path, change(readFileSync(path, 'utf8')));
  test.each([
    {
      name: 'of another cluster',
      cluster: 'cluster-b',
      damage: () => {},
      want: 'of another cluster',
    },
    { name: 'cut off', damage: () => edit((text) => text.slice(0, -100)), want: 'damaged' },
    {
      name: 'cut to a whole line',
      damage: () => edit((text) => `${text.split('\n').slice(0, 2).join('\n')}\n`),
      want: 'damaged',
    },
    { name: 'empty', damage: () => edit(() => ''), want: 'damaged' },
    {
      name: 'changed in one byte',
      damage: () => edit((text) => text.replace('s-1', 's-7')),
      want: 'checksum',
    },
    { name: 'with something behind', damage: () => appendFileSync(path, '{}\n'), want: 'checksum' },
    {
      name: 'full of zeros',
      damage: () => edit((text) => '\0'.repeat(text.length)),
      want: 'damaged',
    },
  ])('$name', async ({ cluster = 'cluster-a', damage, want }) => {
    await write();
    damage();
    await expect(readObjects(path, cluster)).rejects.toMatchObject({
      code: 'DECODE',
      message: expect.stringContaining(want),
    });
  });

  test('of another version', async () => {
    await write();
    const { createHash } = await import('node:crypto');
    const body = readFileSync(path, 'utf8').replace('"version":1', '"version":2');
    const text = body.slice(0, body.lastIndexOf('\n', body.length - 2) + 1);
    const sha256 = createHash('sha256').update(text).digest('hex');
    writeFileSync(path, `${text}${JSON.stringify({ sha256 })}\n`);
    await expect(readObjects(path, 'cluster-a')).rejects.toThrow('not of format version 1');
  });
});
