import { readdirSync, readlinkSync } from 'node:fs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { LinkEvent } from '../../src/kernel/link-monitor.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { type NodeEvents, openNodeEvents } from '../../src/kernel/node-events.ts';
import type { Netns } from '../../src/kernel/types.ts';
import type { TableEvent } from '../../src/nftables/monitor.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';

let node: TestNetns;
let netns: Netns;
let events: NodeEvents;

beforeEach(() => {
  node = createNetns('events');
  netns = netnses.open(node.path);
  events = openNodeEvents(netns);
});

afterEach(() => {
  events.close();
  netns.close();
  node.remove();
});

const WAIT = { timeout: 10_000, interval: 20 };

/** Sockets that this process has open. */
const sockets = () =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;

const textOf = (event: LinkEvent): string => {
  const sign = event.isGone ? '-' : '+';
  switch (event.kind) {
    case 'link':
      return `${sign}${event.link.name} ${event.link.isUp ? 'up' : 'down'} ${event.link.mtu}`;
    case 'address':
      return `${sign}${event.address.address}`;
    case 'port':
      return `${sign}port ${event.index}`;
    case 'forwarding':
      return `${sign}forwarding`;
  }
};

function collect(topics: Parameters<NodeEvents['onLinks']>[0]) {
  const told: string[] = [];
  const watch = events.onLinks(topics, (changes) => {
    told.push(...(changes === 'overflow' ? [changes] : changes.map(textOf)));
  });
  return { told, watch };
}

test('links, addresses and forwarding are told to those who ask', async () => {
  const { told } = collect(['link', 'address', 'forwarding']);
  const links = collect(['link']);
  node.run('ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
  node.run('ip', 'link', 'set', 'v1', 'up');
  node.run('ip', 'link', 'set', 'v0', 'up', 'mtu', '1400');
  node.run('ip', 'addr', 'add', '10.0.0.1/24', 'dev', 'v0');
  node.run('sysctl', '-qw', 'net.ipv4.ip_forward=1');
  // Of changes of one link that arrive together only the last is told.
  await expect.poll(() => told, WAIT).toContain('+v0 up 1400');
  node.run('ip', 'addr', 'del', '10.0.0.1/24', 'dev', 'v0');
  node.run('ip', 'link', 'del', 'v0');
  const want = ['+v0 up 1400', '+10.0.0.1', '+forwarding', '-10.0.0.1'];
  await expect.poll(() => want.filter((text) => !told.includes(text)), WAIT).toEqual([]);
  await expect.poll(() => told.some((text) => text.startsWith('-v0')), WAIT).toBe(true);
  expect(links.told).toContain('+v0 up 1400');
  expect(links.told.filter((text) => /^.(10\.|forwarding)/.test(text))).toEqual([]);
});

test('a transaction is told with its tables and who made it', async () => {
  const told: (TableEvent | 'overflow')[] = [];
  events.onTables((event) => told.push(event));
  node.run('nft', 'add table ip theirs');
  await expect.poll(() => told, WAIT).toHaveLength(1);
  expect(told[0]).toMatchObject({ tables: new Set(['ip theirs']), byProcess: 'nft' });
});

test('one socket for each subject, from the first who listens to the last', async () => {
  const before = sockets();
  const first = collect(['address', 'link']);
  const second = collect(['address']);
  const tables = [events.onTables(() => {}), events.onTables(() => {})];
  expect(sockets() - before).toBe(3);
  first.watch.close();
  first.watch.close();
  expect(sockets() - before).toBe(2);
  node.run('ip', 'addr', 'add', '10.0.0.1/32', 'dev', 'lo');
  await expect.poll(() => second.told, WAIT).toEqual(['+10.0.0.1']);
  expect(first.told).toEqual([]);
  second.watch.close();
  for (const watch of tables) watch.close();
  expect(sockets() - before).toBe(0);
});

test('who listens again hears what comes', async () => {
  collect(['address']).watch.close();
  const { told } = collect(['address']);
  node.run('ip', 'addr', 'add', '10.0.0.1/32', 'dev', 'lo');
  await expect.poll(() => told, WAIT).toEqual(['+10.0.0.1']);
});

test('a listener that throws keeps no other from being told', async () => {
  const thrown: unknown[] = [];
  const microtasks = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((job) => {
    try {
      job();
    } catch (error) {
      thrown.push(error);
    }
  });
  const failing = () => {
    throw new Error('not me');
  };
  const tables: (TableEvent | 'overflow')[] = [];
  events.onLinks(['address'], failing);
  const { told } = collect(['address']);
  events.onTables(failing, failing);
  events.onTables((event) => tables.push(event));
  node.run('ip', 'addr', 'add', '10.0.0.1/32', 'dev', 'lo');
  node.run('nft', 'add table ip theirs');
  await expect.poll(() => told, WAIT).toEqual(['+10.0.0.1']);
  await expect.poll(() => tables, WAIT).toHaveLength(1);
  microtasks.mockRestore();
  // One for the address, the others for the table, the end of its transaction, and the transaction.
  expect(thrown).toEqual(Array.from({ length: 4 }, () => new Error('not me')));
});

test('who is closed by another listener is not told', async () => {
  events.onLinks(['address'], () => second.watch.close());
  const second = collect(['address']);
  const third = collect(['address']);
  node.run('ip', 'addr', 'add', '10.0.0.1/32', 'dev', 'lo');
  await expect.poll(() => third.told, WAIT).toEqual(['+10.0.0.1']);
  expect(second.told).toEqual([]);
});

test('a listener may close everything', async () => {
  const before = sockets();
  events.onLinks(['address'], () => events.close());
  const { told } = collect(['address']);
  node.run('ip', 'addr', 'add', '10.0.0.1/32', 'dev', 'lo');
  await expect.poll(() => sockets() - before, WAIT).toBe(0);
  expect(told).toEqual([]);
});

test('where one subject cannot be opened, none is listened to', () => {
  const before = sockets();
  const { watch } = collect(['address']);
  netns.close();
  expect(() => collect(['address', 'link'])).toThrow();
  watch.close();
  expect(sockets() - before).toBe(0);
  netns = netnses.open(node.path);
});

test('lost events are told to everybody who listens to them', async () => {
  const [one, other] = [collect(['address']), collect(['address'])];
  // All of them before the event loop turns.
  node.batch(
    Array.from({ length: 6_000 }, (_, n) => `addr add 10.1.${n >> 8}.${n & 255}/32 dev lo`),
  );
  for (const { told } of [one, other]) {
    await expect.poll(() => told.includes('overflow'), WAIT).toBe(true);
  }
});
