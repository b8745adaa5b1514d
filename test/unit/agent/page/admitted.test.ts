import { afterEach, describe, expect, test } from 'vitest';
import { FakeClock } from '../../../support/fake-clock.ts';
import { type ServedPage, servePage } from '../../../support/page/served-page.ts';
import { smallNode } from '../../../support/page/snapshots.ts';
import { until } from '../../../support/until.ts';

const TOKEN = 'a-token-of-some-length';
const pages: ServedPage[] = [];
afterEach(async () => {
  await Promise.all(pages.splice(0).map((page) => page.close()));
});

async function served(token: () => string, clock: FakeClock): Promise<string> {
  const page = await servePage({ snapshot: smallNode(), token, clock });
  pages.push(page);
  return page.url;
}

/** Follows a stream; gives whether it has ended. */
async function follow(url: string, bearer: string): Promise<() => boolean> {
  const stop = AbortSignal.timeout(20_000);
  const response = await fetch(url, {
    headers: { Authorization: `Bearer ${bearer}` },
    signal: stop,
  });
  expect(response.status).toBe(200);
  let hasEnded = false;
  // Cut off, or at its end.
  void response.text().then(
    () => (hasEnded = true),
    () => (hasEnded = true),
  );
  return () => hasEnded;
}

const STREAMS = ['/api/events', '/api/flows?service=shop/web'];

describe.each(STREAMS)('whoever follows %s', (path) => {
  const replacements: readonly (readonly [string, () => string])[] = [
    ['replaced', () => 'another-token-of-length'],
    [
      'not to be read any more',
      () => {
        throw new Error('ENOENT');
      },
    ],
  ];
  test.each(replacements)('is let go once the token is %s', async (_, replacement) => {
    let current = () => TOKEN;
    const clock = new FakeClock();
    const url = await served(() => current(), clock);
    const headers = { Authorization: `Bearer ${TOKEN}` };
    const opened = await fetch(`${url}/api/session`, { method: 'POST', headers });
    const { session } = (await opened.json()) as { session: string };
    const ends = [await follow(url + path, session), await follow(url + path, TOKEN)];
    clock.advance(6_000);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(ends.map((hasEnded) => hasEnded())).toEqual([false, false]);
    current = replacement;
    clock.advance(5_000);
    await until('both have ended', () => ends.every((hasEnded) => hasEnded()));
    expect(clock.scheduled).toBe(0);
  });
});
