import { describe, expect, test } from 'vitest';
import { EventText, readEvents, type ServerEvent } from '../../../src/ui/events.ts';

const TEXT =
  ': weft\n\nevent: snapshot\ndata: {"a":1}\n\n: nothing new\n\nevent: change\ndata: {"b":"\u00e9"}\n\n';
const EVENTS: readonly ServerEvent[] = [
  { name: 'snapshot', data: '{"a":1}' },
  { name: 'change', data: '{"b":"\u00e9"}' },
];

describe('events out of text', () => {
  test.each([1, 2, 3, 7, TEXT.length])('in pieces of %i characters', (size) => {
    const text = new EventText();
    const found: ServerEvent[] = [];
    for (let at = 0; at < TEXT.length; at += size) {
      found.push(...text.take(TEXT.slice(at, at + size)));
    }
    expect(found).toEqual(EVENTS);
  });

  test('data of several lines, and a name that nobody gave', () => {
    expect(new EventText().take('data: a\ndata: b\n\n')).toEqual([
      { name: 'message', data: 'a\nb' },
    ]);
  });

  test('one that has not ended is none yet', () => {
    expect(new EventText().take('event: change\ndata: {}\n')).toEqual([]);
  });
});

test('bytes of a character that come apart, and a sign for each piece', async () => {
  const bytes = new TextEncoder().encode(TEXT);
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  const found: ServerEvent[] = [];
  let signs = 0;
  await readEvents(
    body,
    (event) => found.push(event),
    () => signs++,
  );
  expect(found).toEqual(EVENTS);
  expect(signs).toBe(bytes.length);
});
