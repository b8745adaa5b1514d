import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { MOST_READERS } from '../../../../src/agent/page/readers.ts';
import type { UiSnapshot } from '../../../../src/agent/page/snapshot.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { type ServedPage, servePage } from '../../../support/page/served-page.ts';
import { smallNode } from '../../../support/page/snapshots.ts';
import { until } from '../../../support/until.ts';

const pages: ServedPage[] = [];
const stops: AbortController[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) stop.abort();
  await Promise.all(pages.splice(0).map((page) => page.close()));
});

async function served(clock: FakeClock): Promise<ServedPage> {
  const page = await servePage({ snapshot: smallNode(), clock });
  pages.push(page);
  return page;
}

interface Watching {
  readonly status: number;
  /** Text of the events so far. */
  text(): string;
  stop(): void;
}

async function watch({ url }: ServedPage): Promise<Watching> {
  const stop = new AbortController();
  stops.push(stop);
  const response = await fetch(`${url}/api/events`, { signal: stop.signal });
  let text = '';
  const read = async () => {
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) text += decoder.decode(bytes);
  };
  // Ends with the connection, whoever ends it.
  void read().catch(() => undefined);
  return { status: response.status, text: () => text, stop: () => stop.abort() };
}

const withPods = (snapshot: UiSnapshot, pods: UiSnapshot['pods']) => ({ ...snapshot, pods });

describe('those who watch', () => {
  test('a snapshot first, then what differs', async () => {
    const clock = new FakeClock();
    const page = await served(clock);
    const one = await watch(page);
    await until('a snapshot is there', () => one.text().includes('event: snapshot'));
    const [gone, ...others] = page.snapshot.pods;
    page.snapshot = withPods(page.snapshot, others);
    await until('a change is told', () => {
      clock.advance(2_000);
      return one.text().includes('event: change');
    });
    const change = JSON.parse(/event: change\ndata: (.*)/.exec(one.text())?.[1] ?? '');
    expect(change).toEqual({ pods: { put: [], gone: [gone?.key] } });
  });

  test('who comes later has a whole snapshot at once, and others are not sent it again', async () => {
    const clock = new FakeClock();
    const page = await served(clock);
    const one = await watch(page);
    await until('a snapshot is there', () => one.text().includes('event: snapshot'));
    const other = await watch(page);
    await until('a snapshot is there', () => {
      clock.advance(1);
      return other.text().includes('event: snapshot');
    });
    expect(one.text().match(/event: snapshot/g)).toHaveLength(1);
  });

  test('there are so many places, and one that goes makes room', async () => {
    const page = await served(new FakeClock());
    const all: Watching[] = [];
    for (let i = 0; i < MOST_READERS; i++) all.push(await watch(page));
    expect(all.map(({ status }) => status)).toEqual(Array(MOST_READERS).fill(200));
    expect((await watch(page)).status).toBe(503);
    all[0]?.stop();
    await until('it is gone', () => page.readers.count === MOST_READERS - 1);
    expect((await watch(page)).status).toBe(200);
  });

  test('nobody looks: nothing is scheduled', async () => {
    const clock = new FakeClock();
    const page = await served(clock);
    const one = await watch(page);
    await until('a snapshot is there', () => one.text().includes('event: snapshot'));
    one.stop();
    await until('it is gone', () => page.readers.count === 0);
    expect(clock.scheduled).toBe(0);
  });

  test('one that is let go while others are told is no trouble', async () => {
    const clock = new FakeClock();
    const page = await served(clock);
    const one = await watch(page);
    await until('a snapshot is there', () => one.text().includes('event: snapshot'));
    page.snapshot = withPods(page.snapshot, []);
    page.readers.drop();
    clock.advance(2_000);
    await until('it is gone', () => page.readers.count === 0);
    const other = await watch(page);
    await until('a snapshot is there', () => other.text().includes('event: snapshot'));
  });

  test('one that does not read is let go', async () => {
    const clock = new FakeClock();
    const page = await served(clock);
    const { hostname, port } = new URL(page.url);
    const socket = connect(Number(port), hostname);
    const closed = once(socket, 'close');
    socket.pause();
    socket.write(`GET /api/events HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
    await until('it is there', () => page.readers.count === 1);
    const [first] = page.snapshot.pods;
    let turn = 0;
    await until('it is gone', () => {
      turn++;
      const pods = Array.from({ length: 20_000 }, (_, i) => ({
        ...first,
        addresses: [],
        key: `${turn} ${i}`,
      }));
      page.snapshot = withPods(page.snapshot, pods);
      clock.advance(10_000);
      return page.readers.count === 0;
    });
    socket.destroy();
    await closed;
  });

  test('what goes wrong is told in words', async () => {
    const page = await served(new FakeClock());
    Object.defineProperty(page, 'snapshot', {
      get: () => {
        throw new Error('the agent is gone');
      },
    });
    const one = await watch(page);
    await until('it is told', () => one.text().includes('event: trouble'));
    expect(one.text()).toContain('{"words":"the agent is gone"}');
  });
});
