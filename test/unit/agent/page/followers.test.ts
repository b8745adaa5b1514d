import { afterEach, describe, expect, test } from 'vitest';
import { MOST_FOLLOWERS } from '../../../../src/agent/page/followers.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeFeed, flowToWeb } from '../../../support/page/fake-feed.ts';
import { type ServedPage, servePage } from '../../../support/page/served-page.ts';
import { smallNode } from '../../../support/page/snapshots.ts';
import { until } from '../../../support/until.ts';

const pages: ServedPage[] = [];
const stops: AbortController[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) stop.abort();
  await Promise.all(pages.splice(0).map((page) => page.close()));
});

async function served(feed: FakeFeed, clock = new FakeClock()) {
  const page = await servePage({ snapshot: smallNode(), feed, clock });
  pages.push(page);
  return page;
}

async function follow({ url }: ServedPage, query = 'service=shop/web') {
  const stop = new AbortController();
  stops.push(stop);
  const response = await fetch(`${url}/api/flows?${query}`, { signal: stop.signal });
  let text = '';
  const read = async () => {
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) text += decoder.decode(bytes);
  };
  // Ends with the connection, whoever ends it.
  void read().catch(() => undefined);
  return { status: response.status, text: () => text, stop: () => stop.abort() };
}

describe('those who follow flows', () => {
  test('what there is first, then what happens', async () => {
    const clock = new FakeClock();
    const feed = new FakeFeed([flowToWeb(41_000)]);
    const one = await follow(await served(feed, clock));
    await until('what there is', () => one.text().includes('"kind":"live"'));
    expect([...feed.listeners.values()]).toEqual([{ service: 'shop/web' }]);
    feed.tell(flowToWeb(41_000, { kind: 'end' }));
    await until('an end is told', () => {
      clock.advance(300);
      return one.text().includes('"kind":"end"');
    });
  });

  test('one that goes is gone at once: nothing is listened to, nothing is scheduled', async () => {
    const clock = new FakeClock();
    const feed = new FakeFeed();
    const one = await follow(await served(feed, clock));
    await until('it is told', () => one.text().includes('event: flows'));
    expect(feed.listeners.size).toBe(1);
    one.stop();
    // The clock stands still: no expiry of anything has passed.
    await until('it is gone', () => feed.listeners.size === 0);
    expect(clock.scheduled).toBe(0);
  });

  test('one that goes before it is told anything leaves nothing', async () => {
    const feed = new FakeFeed();
    const opened = Promise.withResolvers<void>();
    const live = feed.live.bind(feed);
    feed.live = async (query, onPart) => {
      await opened.promise;
      return live(query, onPart);
    };
    const page = await served(feed);
    const stop = new AbortController();
    const asked = fetch(`${page.url}/api/flows?pod=shop/web-1`, { signal: stop.signal });
    await until('its reader is there', () => feed.listeners.size === 1);
    stop.abort();
    await expect(asked).rejects.toThrow();
    // The server hears of it before it answers.
    await fetch(`${page.url}/api/snapshot`);
    opened.resolve();
    await until('its reader is gone', () => feed.listeners.size === 0);
  });

  test('there are so many places, and one that goes makes room', async () => {
    const feed = new FakeFeed();
    const page = await served(feed);
    const all: Awaited<ReturnType<typeof follow>>[] = [];
    for (let i = 0; i < MOST_FOLLOWERS; i++) all.push(await follow(page));
    expect((await follow(page)).status).toBe(503);
    all[0]?.stop();
    await until('it is gone', () => feed.listeners.size === MOST_FOLLOWERS - 1);
    expect((await follow(page)).status).toBe(200);
  });

  test('where nothing happens a sign comes', async () => {
    const clock = new FakeClock();
    const one = await follow(await served(new FakeFeed(), clock));
    await until('a sign', () => {
      clock.advance(300);
      return one.text().includes(': nothing new');
    });
  });

  test('what is no pod and no Service is refused', async () => {
    expect((await follow(await served(new FakeFeed()), 'node=a')).status).toBe(400);
  });
});
