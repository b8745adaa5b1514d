import { afterEach, expect, test, vi } from 'vitest';
import { follow } from '../../../src/ui/follow.ts';

afterEach(() => vi.unstubAllGlobals());

test('a stream with an event that cannot be read is closed, and leaves its place', async () => {
  vi.stubGlobal('sessionStorage', { getItem: () => null });
  let asked: AbortSignal | undefined | null;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode('data: {\n\n')),
  });
  vi.stubGlobal('fetch', async (_path: string, { signal }: RequestInit) => {
    asked = signal;
    return new Response(body);
  });
  const told = follow('/api/events', new AbortController().signal, ({ data }) => JSON.parse(data));
  expect(await told).toBe(200);
  expect(asked?.aborted).toBe(true);
});
