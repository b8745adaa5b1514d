import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { netnses } from '../../src/kernel/netns.ts';
import { openPacketLog, type PacketLog } from '../../src/kernel/packet-log.ts';
import type { Netns } from '../../src/kernel/types.ts';
import type { LoggedPacket } from '../../src/netlink/nflog/logged-packet.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
import { until } from '../support/until.ts';

const GROUP = 9338;

let node: TestNetns;
let client: TestNetns;
let server: TestNetns;
let netns: Netns;
let packets: LoggedPacket[];
let log: PacketLog;

/** A router between a client and a server; what goes to 172.30.0.1 goes to the server. */
beforeAll(() => {
  node = createNetns('log-node');
  client = createNetns('log-client');
  server = createNetns('log-server');
  connect(
    { netns: node, link: 'c', addresses: ['10.0.1.1/24', 'fd00:1::1/64'] },
    { netns: client, link: 'eth0', addresses: ['10.0.1.2/24', 'fd00:1::2/64'] },
  );
  connect(
    { netns: node, link: 's', addresses: ['10.0.2.1/24', 'fd00:2::1/64'] },
    { netns: server, link: 'eth0', addresses: ['10.0.2.2/24', 'fd00:2::2/64'] },
  );
  node.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
  for (const [pod, side] of [[client, 1] as const, [server, 2] as const]) {
    pod.run('ip', 'route', 'add', 'default', 'via', `10.0.${side}.1`);
    pod.run('ip', '-6', 'route', 'add', 'default', 'via', `fd00:${side}::1`);
  }
  node.run('nft', 'add table inet t');
  node.run(
    ...(['nft', 'add chain inet t nat { type nat hook prerouting priority -100; };'] as const),
    'add rule inet t nat ip daddr 172.30.0.1 tcp dport 80 dnat ip to 10.0.2.2:8080',
  );
  node.run('nft', 'add chain inet t f { type filter hook forward priority 0; }');
  node.run('nft', `add rule inet t f ct state new log prefix "no ingress" group ${GROUP} drop`);
  netns = netnses.open(node.path);
});

afterAll(() => {
  netns.close();
  for (const each of [client, server, node]) each.remove();
});

beforeEach(() => {
  packets = [];
});

function opened(receiveBufferBytes?: number): PacketLog {
  return openPacketLog(
    { group: GROUP, netns, ...(receiveBufferBytes === undefined ? {} : { receiveBufferBytes }) },
    (more) => packets.push(...more),
  );
}

function indexOf(link: string): number {
  return node.ip<{ ifindex: number }[]>('link', 'show', link)[0]?.ifindex ?? 0;
}

/** One packet from the client; nobody answers it. */
function send(protocol: 'tcp' | 'udp', address: string, port: number): void {
  const kind = { tcp: 'SOCK_STREAM, 6', udp: 'SOCK_DGRAM, 17' }[protocol];
  const family = address.includes(':') ? 'AF_INET6' : 'AF_INET';
  client.run(
    ...(['python3', '-c'] as const),
    `from socket import *\ns = socket(${family}, ${kind})\ns.settimeout(0.2)\n` +
      `try: s.connect(("${address}", ${port})); s.send(b"x")\nexcept OSError: pass`,
  );
}

describe('packets that a rule logs', () => {
  beforeAll(() => {
    log = opened();
  });
  afterAll(() => log.close());

  test.each([
    ['TCP', 'tcp', '10.0.2.2', 81, 6],
    ['UDP', 'udp', '10.0.2.2', 53, 17],
    ['TCP of IPv6', 'tcp', 'fd00:2::2', 81, 6],
    ['UDP of IPv6', 'udp', 'fd00:2::2', 53, 17],
  ] as const)('%s', async (_name, protocol, address, port, number) => {
    send(protocol, address, port);
    await until('a packet is told', () => packets.length > 0);
    expect(packets[0]).toMatchObject({
      group: GROUP,
      prefix: 'no ingress',
      headers: {
        family: address.includes(':') ? 6 : 4,
        destination: address,
        protocol: number,
        ports: { destination: port },
      },
      inLink: indexOf('c'),
      outLink: indexOf('s'),
    });
  });

  test('behind DNAT a packet goes to the endpoint', async () => {
    send('tcp', '172.30.0.1', 80);
    await until('a packet is told', () => packets.length > 0);
    expect(packets[0]).toMatchObject({
      headers: { source: '10.0.1.2', destination: '10.0.2.2', ports: { destination: 8080 } },
    });
  });

  test.each([
    ['-4', '10.0.2.2', 8],
    ['-6', 'fd00:2::2', 128],
  ])('an echo request of ping %s', async (flag, address, type) => {
    client.attempt('ping', [flag, '-c', '1', '-W', '1', address]);
    await until('a packet is told', () => packets.length > 0);
    expect(packets[0]?.headers).toMatchObject({ destination: address, icmp: { type, code: 0 } });
  });

  test('nobody else can take the group', () => {
    expect(() => opened()).toThrow(/bind log group 9338: E(PERM|BUSY)/);
  });

  test('nothing was lost', () => {
    expect(log.lost).toBe(0);
  });
});

test('what does not fit the buffer is lost and counted; what comes then is told', async () => {
  log = opened(4096);
  try {
    // The event loop does not read meanwhile.
    const burst = 'for i in range(3000): s.sendto(b"x", ("10.0.2.2", 1024 + i))';
    client.run('python3', '-c', `from socket import *\ns = socket(AF_INET, SOCK_DGRAM)\n${burst}`);
    await until('a packet is told', () => packets.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    send('udp', '10.0.2.2', 53);
    await until('the last is told', () =>
      packets.some(({ headers }) => headers?.ports?.destination === 53),
    );
    expect(log.lost).toBeGreaterThan(0);
    expect(packets.length + log.lost).toBe(3001);
  } finally {
    log.close();
  }
});

test('a group is free again when its socket is closed', () => {
  opened().close();
  opened().close();
});
