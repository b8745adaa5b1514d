/** What reaches the program that answers probes, when somebody sends it more than it can read. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestNetns } from '../support/netns.ts';
import { until } from '../support/until.ts';
import {
  createFabricTableLab,
  FACTS,
  type FabricTableLab,
  NODES,
  type OpenedTable,
  openTable,
} from './fabric-table-lab.ts';

const PROBE_PORT = 8473;
const OWN6 = '2001:db8::1';
let lab: FabricTableLab;
let opened: OpenedTable;

beforeAll(async () => {
  lab = await createFabricTableLab();
  opened = openTable(lab.n1);
  opened.table.sync({ ...FACTS, probePort: PROBE_PORT });
}, 60_000);
afterAll(async () => {
  await opened?.close();
  await lab?.remove();
});

/** Counts datagrams by their sender for some time, and prints the counts. */
const COUNTER = `
  const counts = {};
  const socket = require('node:dgram').createSocket({ type: 'udp6', recvBufferSize: 1 << 24 });
  socket.on('message', (_, { address }) => { counts[address] = (counts[address] ?? 0) + 1; });
  socket.bind(${PROBE_PORT}, () => process.stdout.write('ready'));
  process.on('SIGTERM', () => { process.stdout.write(JSON.stringify(counts)); process.exit(0); });`;

interface Counting {
  /** Ends it; datagrams by sender. */
  end(): Promise<Readonly<Record<string, number>>>;
}

async function startCounting(): Promise<Counting> {
  const program = lab.n1.start(process.execPath, ['-e', COUNTER]);
  let text = '';
  program.stdout?.on('data', (data: Buffer) => {
    text += data.toString();
  });
  await until('it listens', () => text === 'ready');
  return {
    async end() {
      const ended = new Promise((resolve) => program.once('exit', resolve));
      program.kill('SIGTERM');
      await ended;
      return JSON.parse(text.slice('ready'.length)) as Record<string, number>;
    },
  };
}

/** Sends `count` datagrams from these addresses in turn, as fast as it can; gives the seconds it took. */
function flood(from: TestNetns, host: string, sources: readonly string[], count: number): number {
  const type = host.includes(':') ? 'udp6' : 'udp4';
  const script = `
    const { createSocket } = require('node:dgram');
    const sockets = ${JSON.stringify(sources)}.map((address) => {
      const socket = createSocket({ type: '${type}', sendBufferSize: 1 << 24 });
      socket.bind(0, address);
      return socket;
    });
    setTimeout(() => {
      const begun = performance.now();
      let left = ${count};
      const next = () => {
        if (left === 0) {
          process.stdout.write(String((performance.now() - begun) / 1000));
          process.exit(0);
        }
        left -= 1;
        sockets[left % sockets.length].send('?', ${PROBE_PORT}, '${host}', next);
      };
      next();
    }, 200);`;
  return Number(from.run(process.execPath, '-e', script));
}

test.each([
  [4, NODES[0], NODES[1], '192.0.2.254'],
  [6, OWN6, '2001:db8::2', '2001:db8::fe'],
] as const)(
  'IPv%i: one that floods has its own rate, and takes nobody else’s',
  async (family, own, peer, other) => {
    const counting = await startCounting();
    const dropped = opened.table.dropped().probes;
    const seconds = flood(lab.n2, own, [peer], 20_000);
    flood(lab.outside, own, [other], 50);
    const counts = await counting.end();
    const name = (address: string) => (family === 4 ? `::ffff:${address}` : address);
    const most = 200 + 100 * (seconds + 1);
    expect(counts[name(peer)]).toBeGreaterThanOrEqual(200);
    expect(counts[name(peer)]).toBeLessThanOrEqual(most);
    expect(counts[name(other)]).toBe(50);
    expect(opened.table.dropped().probes - dropped).toBeGreaterThanOrEqual(
      BigInt(Math.floor(20_000 - most)),
    );
  },
);

test('under many addresses all of it has one rate, and another port none', async () => {
  const addresses = Array.from({ length: 200 }, (_, i) => `192.0.2.${i + 20}`);
  lab.n2.batch(addresses.map((address) => `addr add ${address}/32 dev eth0`));
  const counting = await startCounting();
  const seconds = flood(lab.n2, NODES[0], addresses, 20_000);
  const counts = await counting.end();
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  expect(all).toBeGreaterThan(1_000);
  expect(all).toBeLessThanOrEqual(2_000 + 2_000 * (seconds + 1));
});
