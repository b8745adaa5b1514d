import { beforeEach, describe, expect, test } from 'vitest';
import { ConnectionFeed, type FlowSources } from '../../../../src/agent/flows/feed.ts';
import type { FlowBatch, FlowEvent } from '../../../../src/agent/flows/flow-event.ts';
import { FlowReaders } from '../../../../src/agent/flows/flow-reader.ts';
import { NameBook } from '../../../../src/agent/flows/name-book.ts';
import type { Refusal } from '../../../../src/agent/flows/refusal.ts';
import type { ToldDenial } from '../../../../src/agent/policy/denials.ts';
import type { Connection, ConnectionBatch } from '../../../../src/kernel/connections.ts';
import { matchesFlow } from '../../../../src/netlink/ctnetlink/request.ts';
import { createLogger } from '../../../../src/util/log.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { until } from '../../../support/until.ts';
import { connection, ip, NODE } from './flow-lab.ts';

/** Sources that are told what to say, and remember which of them are open. */
class Lab {
  readonly clock = new FakeClock();
  readonly open = new Set<string>();
  readonly counts: Record<string, number> = {};
  table: readonly (readonly Connection[])[] = [];
  refusesNflog = false;
  tellConnections: (batch: ConnectionBatch) => void = () => {};
  tellRefusals: (refusals: readonly Refusal[]) => void = () => {};
  tellDenial: (denial: ToldDenial) => void = () => {};
  readonly feed: ConnectionFeed;
  readonly readers: FlowReaders;

  constructor() {
    const log = createLogger('silent');
    const { clock } = this;
    const count = (what: string, events: number) => {
      this.counts[what] = (this.counts[what] ?? 0) + events;
    };
    this.feed = new ConnectionFeed({
      sources: this.#sources(),
      names: new NameBook({
        facts: () => ({
          ...{ nodeName: NODE, localAddresses: [], nodes: [], pods: [], services: [] },
        }),
        localPods: () => [{ name: 'shop/client', ips: [ip('10.1.0.2')] }],
        ...{ clock, log },
      }),
      ...{ clock, log },
      counted: count,
      lost: (events) => count('lost', events),
    });
    this.readers = new FlowReaders({ feed: this.feed, clock });
  }

  #sources(): FlowSources {
    const opened = (what: string) => {
      this.open.add(what);
      return { close: () => void this.open.delete(what) };
    };
    return {
      watchConnections: (listener) => {
        this.tellConnections = listener;
        return opened('connections');
      },
      watchRefusals: (listener) => {
        if (this.refusesNflog) throw new Error('EBUSY');
        this.tellRefusals = listener;
        return opened('refusals');
      },
      watchDenials: (listener) => {
        this.tellDenial = listener;
        return opened('denials');
      },
      pastDenials: () => [denial(1)],
      holdAccounting: () => opened('accounting'),
      listConnections: async (filter, onPart) => {
        if (filter.family === 6) return true;
        for (const part of this.table) {
          await onPart(part.filter(({ flow }) => matchesFlow(filter, flow)));
        }
        return true;
      },
      notices: () => ['bytes are not counted'],
    };
  }
}

const denial = (number: number): ToldDenial => ({
  ...{ number, at: '2026-01-02T03:04:05.006Z', packets: 1, suppressed: 0 },
  ...{ from: 'shop/client', fromIP: ip('10.1.0.2'), to: 'shop/db', toIP: ip('10.1.0.4') },
  ...{ protocol: 'TCP', port: 80, direction: 'ingress', pod: 'shop/db' },
  ...{ policies: ['NetworkPolicy shop/db'], reason: 'why' },
});
const rejected = (destination: string): Refusal => ({
  ...{ source: ip('10.1.0.2'), destination: ip(destination), protocol: 6, answer: 'refused' },
  ...{ sourcePort: 1000, destinationPort: 80 },
});
const numbered = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => connection(`10.1.0.2 ${from + i}`, '203.0.113.1 80'));
const begun = (connections: readonly Connection[], lost = 0): ConnectionBatch => ({
  events: connections.map((each) => ({ kind: 'new', connection: each })),
  lost,
});
const ports = (events: readonly FlowEvent[]) => events.map(({ from }) => from.port);

let lab: Lab;
let told: FlowBatch[];
beforeEach(() => {
  lab = new Lab();
  told = [];
});
const hear = (batch: FlowBatch) => void told.push(batch);

describe('the feed', () => {
  test('opens its sources for the first who listens and closes them after the last', async () => {
    expect(lab.open.size).toBe(0);
    const first = await lab.feed.subscribe({}, hear);
    const second = await lab.feed.subscribe({}, hear);
    expect([...lab.open].toSorted()).toEqual(['accounting', 'connections', 'denials', 'refusals']);
    first.close();
    first.close();
    expect(lab.open.size).toBe(4);
    second.close();
    expect(lab.open.size).toBe(0);
  });

  test('tells each what it wants, and all of losses', async () => {
    await lab.feed.subscribe({ pod: 'shop/client' }, hear);
    await lab.feed.subscribe({ pod: 'shop/other' }, hear);
    lab.tellConnections(begun(numbered(1, 2), 5));
    expect(told.map(({ events, lost }) => [events.length, lost])).toEqual([
      [2, 5],
      [0, 5],
    ]);
    expect(lab.counts).toEqual({ new: 2, lost: 5 });
  });

  test('what a policy has denied is not told once more as rejected', async () => {
    await lab.feed.subscribe({}, hear);
    lab.tellRefusals([rejected('10.1.0.4'), rejected('10.1.0.5')]);
    lab.tellDenial(denial(2));
    lab.clock.advance(1_000);
    const events = told.flatMap((batch) => batch.events);
    expect(events.map(({ verdict, to }) => [verdict, to.ip])).toEqual([
      ['denied', '10.1.0.4'],
      ['rejected', '10.1.0.5'],
    ]);
  });

  test('says what it cannot tell', async () => {
    lab.refusesNflog = true;
    const { notices } = await lab.feed.subscribe({}, hear);
    expect(notices).toEqual(['bytes are not counted', 'refusals are not told: EBUSY']);
  });

  test('takes no more than so many', async () => {
    for (let i = 0; i < 16; i++) await lab.feed.subscribe({}, hear);
    await expect(lab.feed.subscribe({}, hear)).rejects.toThrow(/16 readers/);
  });
});

describe('a reader that asks again and again', () => {
  test('gets the table, and is done', async () => {
    lab.table = [numbered(1, 3), numbered(4, 2)];
    let answer = await lab.readers.open({ query: {}, isFollowed: false });
    const events = [...answer.events];
    while (!answer.isDone) {
      answer = await lab.readers.next(answer.reader);
      events.push(...answer.events);
    }
    const [first, ...others] = events;
    expect(first).toMatchObject({ kind: 'denied', policies: ['NetworkPolicy shop/db'] });
    expect(ports(others)).toEqual([1, 2, 3, 4, 5]);
    await expect(lab.readers.next(answer.reader)).rejects.toThrow(/forgotten/);
    expect(lab.open.size).toBe(0);
  });

  test('a connection that the kernel gives by two filters is told once', async () => {
    lab.table = [
      [connection('10.1.0.2 1', '10.1.0.2 80'), connection('10.1.0.9 2', '10.1.0.2 80')],
    ];
    const seen: (number | undefined)[] = [];
    await lab.feed.live({ pod: 'shop/client' }, (events) => void seen.push(...ports(events)));
    expect(seen.toSorted()).toEqual([1, 2]);
  });

  test('a large table is read as fast as it is asked for', async () => {
    let parts = 0;
    const part = numbered(1, 500);
    lab.table = {
      *[Symbol.iterator]() {
        for (; parts < 40; parts++) yield part;
      },
    } as unknown as Lab['table'];
    let answer = await lab.readers.open({ query: {}, isFollowed: false });
    await until('no more is read', () => parts >= 4);
    expect(parts).toBeLessThan(8);
    let seen = answer.events.length;
    while (!answer.isDone) {
      answer = await lab.readers.next(answer.reader);
      seen += answer.events.length;
      expect(answer.events.length).toBeLessThanOrEqual(1_000);
    }
    expect(seen).toBe(40 * 500 + 1);
  });

  test('what happens meanwhile follows the table, of which the oldest gives way', async () => {
    lab.table = [numbered(1, 1)];
    const { reader, notices } = await lab.readers.open({ query: {}, isFollowed: true });
    expect(notices).toEqual(['bytes are not counted']);
    lab.tellConnections(begun(numbered(1, 10_000)));
    lab.tellConnections(begun(numbered(10_001, 500), 3));
    let answer = await lab.readers.next(reader);
    if (ports(answer.events)[0] === 1) answer = await lab.readers.next(reader);
    expect(answer).toMatchObject({ overwritten: 500, lost: 3, hasMore: true, isDone: false });
    const events = [...answer.events];
    while (answer.hasMore) {
      answer = await lab.readers.next(reader);
      expect(answer).toMatchObject({ overwritten: 0, lost: 0 });
      events.push(...answer.events);
    }
    expect(ports(events)).toEqual(Array.from({ length: 10_000 }, (_, i) => i + 501));
  });

  test('is forgotten when it asks no more', async () => {
    const { reader } = await lab.readers.open({ query: {}, isFollowed: true });
    lab.clock.advance(4_000);
    await lab.readers.next(reader);
    lab.clock.advance(4_000);
    expect(lab.open.size).toBe(4);
    lab.clock.advance(2_000);
    expect(lab.open.size).toBe(0);
    await expect(lab.readers.next(reader)).rejects.toThrow(/forgotten/);
  });

  test('a listing that fails is told', async () => {
    lab.table = {
      [Symbol.iterator]: () => {
        throw new Error('no table');
      },
    } as unknown as Lab['table'];
    await expect(
      (async () => {
        const { reader } = await lab.readers.open({ query: {}, isFollowed: false });
        await lab.readers.next(reader);
      })(),
    ).rejects.toThrow('no table');
  });
});
