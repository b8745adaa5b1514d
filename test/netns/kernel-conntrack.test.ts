import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { openConntrack } from '../../src/kernel/conntrack.ts';
import { openFlowSweeper } from '../../src/kernel/conntrack-sweep.ts';
import { netnses } from '../../src/kernel/netns.ts';
import type { Conntrack, Flow, Netns } from '../../src/kernel/types.ts';
import { type IP, ipFromBigInt, ipToBigInt, ipToBytes, parseIP } from '../../src/net/ip.ts';
import { AttributeWriter } from '../../src/netlink/attributes.ts';
import { requestAll } from '../../src/netlink/request-batch.ts';
import { NetlinkSocket } from '../../src/netlink/socket.ts';
import { wire } from '../../src/netlink/wire.ts';
import { cpuTimeOf, watchHolds } from '../support/cpu-time.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';

const CT_NEW = 0x100;
const NLM_F_CREATE_EXCL = 0x600;
const UDP = 17;
const SERVICE = parseIP('172.30.0.1');
const OTHER = parseIP('172.30.0.2');

let node: TestNetns;
let netns: Netns;
let conntrack: Conntrack;

beforeAll(() => {
  node = createNetns('ct');
  // Connections are tracked only where a rule asks for their state.
  node.run('nft', 'add table inet t; add chain inet t c { type filter hook output priority 0; }');
  node.run('nft', 'add rule inet t c ct state new accept');
  netns = netnses.open(node.path);
  conntrack = openConntrack(netns);
});

afterAll(() => {
  conntrack.close();
  netns.close();
  node.remove();
});

beforeEach(() => {
  node.run('conntrack', '-F');
});

function insert(flow: {
  source: string;
  destination: string;
  protocol?: string;
  more?: readonly string[];
}): void {
  const { source, destination, protocol = 'udp', more = [] } = flow;
  node.run(
    ...(['conntrack', '-I', '-t', '300', '-p', protocol, '-s', source] as const),
    ...['-d', destination, '--sport', '1000', '--dport', '53', ...more],
  );
}

/** Many UDP flows to one service, some thousand a second faster than `conntrack -I`. */
function insertMany(count: number, destination: IP): void {
  const socket = NetlinkSocket.open(12, { netns });
  const first = parseIP('10.0.0.0');
  const requests = Array.from({ length: count }, (_, i) => ({
    type: CT_NEW,
    flags: NLM_F_CREATE_EXCL,
    payload: newFlow(ipFromBigInt(4, ipToBigInt(first) + BigInt(i)), destination),
    what: `insert flow ${i}`,
  }));
  expect(requestAll(socket, requests).filter((error) => error !== undefined)).toEqual([]);
  socket.close();
}

function newFlow(source: IP, destination: IP): Buffer {
  const tuple =
    ([from, to]: readonly [IP, IP], ports: readonly [number, number]) =>
    (writer: AttributeWriter) => {
      writer.nested(1, (ip) => ip.bytes(1, ipToBytes(from)).bytes(2, ipToBytes(to)));
      writer.nested(2, (proto) => proto.u8(1, UDP).u16be(2, ports[0]).u16be(3, ports[1]));
    };
  return new AttributeWriter()
    .raw(Buffer.from([2, 0, 0, 0]))
    .nested(1, tuple([source, destination], [1000, 53]))
    .nested(2, tuple([destination, source], [53, 1000]))
    .u32be(7, 300)
    .finish();
}

/** `10.0.0.1:53`, `[fd00::1]:53` */
function endOf(text: string): readonly [IP, number] {
  const [, address = '', port] = /^\[?(.*?)\]?:(\d+)$/.exec(text) ?? [];
  return [parseIP(address), Number(port)];
}

describe('flows', () => {
  beforeEach(() => {
    insert({ source: '10.0.0.1', destination: '172.30.0.1', more: ['-m', '5'] });
    insert({ source: '10.0.0.2', destination: '172.30.0.2' });
    insert({
      source: '10.0.0.3',
      destination: '172.30.0.1',
      more: [
        ...['--reply-src', '10.0.0.9', '--reply-dst', '10.0.0.3'],
        ...['--reply-port-src', '5353', '--reply-port-dst', '1000'],
      ],
    });
    insert({
      source: '10.0.0.1',
      destination: '172.30.0.1',
      protocol: 'tcp',
      more: ['--state', 'ESTABLISHED'],
    });
    insert({ source: 'fd00::1', destination: 'fd00::53' });
  });

  test.each([
    ['of IPv4', { family: 4 }, 4],
    ['of IPv6', { family: 6 }, 1],
    ['of a protocol', { family: 4, protocol: UDP }, 3],
    ['to a service', { family: 4, original: { destination: SERVICE } }, 3],
    ['to a UDP service', { family: 4, protocol: UDP, original: { destination: SERVICE } }, 2],
    ['to a port', { family: 4, protocol: UDP, original: { destinationPort: 53 } }, 3],
    ['to no port', { family: 4, protocol: UDP, original: { destinationPort: 54 } }, 0],
    ['to a port of any protocol', { family: 4, original: { destinationPort: 53 } }, 4],
    ['answered by an endpoint', { family: 4, reply: { source: parseIP('10.0.0.9') } }, 1],
    ['with a mark', { family: 4, mark: { value: 5, mask: 0xff } }, 1],
    ['without an answer', { family: 4, protocol: 6, status: { value: 0, mask: 2 } }, 1],
    ['with one', { family: 4, protocol: 6, status: { value: 2, mask: 2 } }, 0],
    ['to an IPv6 service', { family: 6, original: { destination: parseIP('fd00::53') } }, 1],
  ] as const)('%s', (_name, filter, count) => {
    expect(conntrack.flows(filter)).toHaveLength(count);
  });

  test.each([
    ['of the side that began', '10.0.0.3:1000', '172.30.0.1:53', '10.0.0.9'],
    ['of the endpoint that answers', '10.0.0.9:5353', '10.0.0.3:1000', '10.0.0.9'],
    ['of IPv6', '[fd00::53]:53', '[fd00::1]:1000', 'fd00::53'],
    ['that belongs to none', '10.0.0.9:5353', '10.0.0.3:1001', undefined],
  ])('by a packet %s', (_name, from, to, answeredBy) => {
    const [source, sourcePort] = endOf(from);
    const [destination, destinationPort] = endOf(to);
    const packet = { protocol: UDP, source, sourcePort, destination, destinationPort };
    expect(conntrack.flowOf(packet)?.reply.source).toBe(answeredBy);
  });

  test('both directions are told', () => {
    const [flow] = conntrack.flows({ family: 4, reply: { source: parseIP('10.0.0.9') } });
    expect(flow).toMatchObject({
      protocol: UDP,
      original: { source: '10.0.0.3', destination: '172.30.0.1', destinationPort: 53 },
      reply: { source: '10.0.0.9', sourcePort: 5353, destination: '10.0.0.3' },
    });
  });
});

test('clearMarks clears those bits of the flows that are named, and no others', () => {
  insert({ source: '10.0.0.1', destination: '172.30.0.1', more: ['--mark', '0x30005'] });
  insert({ source: '10.0.0.2', destination: '172.30.0.1', more: ['--mark', '0x40005'] });
  const third = { family: 4, mark: { value: 0x30000, mask: 0xff0000 } } as const;
  expect(conntrack.clearMarks(third, 0xffff0000)).toBe(1);
  const marks = conntrack.flows({ family: 4 }).map(({ mark }) => mark);
  expect(marks.sort()).toEqual([0x40005, 5].sort());
});

describe('deleteFlows', () => {
  test('deletes what filter and predicate name, and counts it', () => {
    insert({ source: '10.0.0.1', destination: '172.30.0.1' });
    insert({ source: '10.0.0.2', destination: '172.30.0.1' });
    insert({ source: '10.0.0.1', destination: '172.30.0.2' });
    const toService = { family: 4, original: { destination: SERVICE } } as const;
    expect(conntrack.deleteFlows(toService, ({ original }) => original.source === '10.0.0.1')).toBe(
      1,
    );
    expect(conntrack.deleteFlows(toService)).toBe(1);
    expect(conntrack.deleteFlows(toService)).toBe(0);
    expect(node.run('conntrack', '-L', '-d', '172.30.0.2')).toContain('src=10.0.0.1');
    expect(conntrack.flows({ family: 4 })).toHaveLength(1);
  });

  test('protocols without ports are deleted too', () => {
    node.run('ping', '-c', '1', '-W', '1', '127.0.0.1');
    expect(conntrack.deleteFlows({ family: 4, protocol: 1 })).toBe(1);
  });

  test('the few among many are found by the kernel, the many are deleted in batches', {
    timeout: 30_000,
  }, () => {
    insertMany(5_000, SERVICE);
    insertMany(5, OTHER);
    const start = performance.now();
    expect(conntrack.deleteFlows({ family: 4, original: { destination: OTHER } })).toBe(5);
    expect(performance.now() - start).toBeLessThan(100);
    expect(conntrack.deleteFlows({ family: 4, protocol: UDP })).toBe(5_000);
    expect(conntrack.flows({ family: 4 })).toEqual([]);
  });
});

describe('openFlowSweeper', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  const toOther = {
    family: 4,
    protocol: UDP,
    original: { destination: OTHER, destinationPort: 53 },
  } as const;

  test('deletes what filter and predicate name, and counts it', async () => {
    insert({ source: '10.0.0.1', destination: OTHER });
    insert({ source: '10.0.0.2', destination: OTHER });
    insert({ source: '10.0.0.1', destination: SERVICE });
    insert({ source: 'fd00::1', destination: 'fd00::53' });
    const sweeper = openFlowSweeper(netns);
    const isFirst = ({ original }: Flow) => original.source === '10.0.0.1';
    expect(await sweeper.deleteFlows(toOther, isFirst)).toEqual({
      seen: 2,
      deleted: 1,
      isComplete: true,
    });
    expect(await sweeper.deleteFlows(toOther, () => true)).toMatchObject({ seen: 1, deleted: 1 });
    expect(await sweeper.deleteFlows(toOther, () => true)).toMatchObject({ seen: 0, deleted: 0 });
    const v6 = { family: 6, protocol: UDP, original: { destinationPort: 53 } } as const;
    expect(await sweeper.deleteFlows(v6, () => true)).toMatchObject({ seen: 1, deleted: 1 });
    expect(conntrack.flows({ family: 4 })).toHaveLength(1);
  });

  test('among 100,000 flows: few requests, and the event loop goes on', {
    timeout: 60_000,
  }, async () => {
    insertMany(100_000, SERVICE);
    insertMany(600, OTHER);
    const exchanges = vi.spyOn(wire, 'exchangeNetlink');
    const listings = vi.spyOn(wire, 'exchangeNetlinkLater');
    const requests = () =>
      exchanges.mock.calls.length +
      listings.mock.calls.filter(([, bytes]) => bytes.length > 0).length;
    const sweeper = openFlowSweeper(netns);

    const { cpuMs: allMs } = await cpuTimeOf(() => conntrack.flows({ family: 4 }));
    exchanges.mockClear();
    listings.mockClear();
    const few = await cpuTimeOf(() => sweeper.deleteFlows(toOther, () => true));
    expect(few.result).toMatchObject({ deleted: 600 });
    expect(requests()).toBeLessThanOrEqual(1 + 600 / 64);
    expect(conntrack.flows(toOther)).toEqual([]);

    const all = { family: 4, protocol: UDP } as const;
    const holds = watchHolds();
    expect(await sweeper.deleteFlows(all, () => false)).toMatchObject({ seen: 100_000 });
    expect(await sweeper.deleteFlows(all, () => true)).toMatchObject({ deleted: 100_000 });
    const holdMs = holds.stop();
    console.log({ allMs, fewMs: few.cpuMs, holdMs });
    // The kernel goes through all of them once, and tells of few.
    expect(few.cpuMs).toBeLessThan(allMs);
    expect(holdMs).toBeLessThan(30);
  });
});
