import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JsonListSplitter } from '../../../src/kube/json-list.ts';

function split(text: string, chunkBytes: number) {
  const bytes = Buffer.from(text);
  const splitter = new JsonListSplitter(1 << 20);
  const items: { text: string; offset: number }[] = [];
  for (let start = 0; start < bytes.length; start += chunkBytes) {
    for (const item of splitter.push(bytes.subarray(start, start + chunkBytes))) {
      items.push({ text: item.bytes.toString('utf8'), offset: item.offset });
    }
  }
  return { items, rest: splitter.rest() };
}

const object = fc.dictionary(fc.string(), fc.jsonValue());
const listHead = fc.record({
  kind: fc.constantFrom('List', 'items', '"items":[{'),
  metadata: fc.dictionary(fc.constantFrom('items', 'continue', '\\'), fc.jsonValue()),
});

test('any list in any chunks: the items as they stand, and the rest', () => {
  fc.assert(
    fc.property(
      listHead,
      fc.array(object),
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.integer({ min: 1, max: 40 }),
      fc.constantFrom(undefined, 1),
      (head, items, tail, chunkBytes, indent) => {
        const { items: _items, ...more } = tail;
        const text = JSON.stringify({ ...head, items, ...more }, undefined, indent);
        const found = split(text, chunkBytes);
        expect(found.items.map((item) => JSON.parse(item.text))).toEqual(
          JSON.parse(JSON.stringify(items)),
        );
        const bytes = Buffer.from(text);
        for (const { text: piece, offset } of found.items) {
          expect(bytes.subarray(offset, offset + Buffer.byteLength(piece)).toString()).toBe(piece);
        }
        expect(JSON.parse(found.rest)).toEqual(
          JSON.parse(JSON.stringify({ ...head, items: [], ...more })),
        );
      },
    ),
  );
});

describe('what is no list', () => {
  test.each([
    { name: 'items that are numbers', text: '{"items":[1]}' },
    { name: 'items that are strings', text: '{"items":["a"]}' },
    { name: 'a list that is cut off', text: '{"items":[{"a":1},' },
    { name: 'a list cut within a string', text: '{"items":[],"a":"b' },
  ])('$name is refused', ({ text }) => {
    expect(() => split(text, 5)).toThrow(expect.objectContaining({ code: 'DECODE' }));
  });

  test.each([
    '{}',
    '{"items":null}',
    '{"items":{"a":[1]}}',
    '{"spec":{"items":[{"a":1}]}}',
    '[]',
    'text',
  ])('%s is all rest', (text) => {
    expect(split(text, 3)).toEqual({ items: [], rest: text });
  });

  test('an endless item is refused', () => {
    const splitter = new JsonListSplitter(10);
    expect(() => splitter.push(Buffer.from('{"items":[{"name":"very long"'))).toThrow(
      expect.objectContaining({ code: 'DECODE' }),
    );
  });
});
