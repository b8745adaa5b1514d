/** Flows without a handshake that outlive the pod behind a host port, and what a port costs. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Result } from '../../src/cni/protocol/result.ts';
import { openConntrack } from '../../src/kernel/conntrack.ts';
import { netnses } from '../../src/kernel/netns.ts';
import type { FlowFilter } from '../../src/kernel/types.ts';
import { parseIPWithPrefix } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';
import { macToBytes, parseMac } from '../../src/net/mac.ts';
import { wire } from '../../src/netlink/wire.ts';
import type { TestNetns } from '../support/netns.ts';
import { type LabPod, PortmapLab, tcp } from '../support/portmap-lab.ts';
import { sctpInit } from '../support/sctp.ts';
import { startIn, startServer } from '../support/workloads.ts';

let lab: PortmapLab;
beforeEach(() => {
  lab = new PortmapLab();
});
afterEach(() => lab.remove());

function flows(filter: FlowFilter) {
  const conntrack = openConntrack(lab.hostNetns);
  try {
    return conntrack.flows(filter);
  } finally {
    conntrack.close();
  }
}

/** One flow: a datagram every 20 ms from one source port; prints who answered. */
const talker = `
  const [host, port] = process.argv.slice(1);
  const socket = require('node:dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (answer) => process.stdout.write(answer.toString().split(' ')[0] + '\\n'));
  socket.on('error', () => {});
  socket.bind(40000, () => setInterval(() => socket.send('?', Number(port), host), 20));
`;

test.each([
  { host: '203.0.113.1', want: '10.22.0.3' },
  { host: '2001:db8:113::1', want: 'fd00:22::3' },
])(
  '[125] a UDP flow to $host goes on when the pod behind the port is replaced',
  async ({ host, want }) => {
    const [old, young] = [lab.pod(2), lab.pod(3)];
    const servers = [
      await startServer(old.netns.path, 'old', 8080),
      await startServer(young.netns.path, 'young', 8080),
    ];
    lab.add(old, { portMappings: [tcp(5353, { protocol: 'udp' })] });
    const command = [process.execPath, '-e', talker, host, '5353'];
    const client = await startIn(lab.client.path, command, 'old\n');
    try {
      lab.del(old);
      // By now packets of the flow have come when nobody was behind the port.
      await sleep(200);
      lab.add(young, { portMappings: [tcp(5353, { protocol: 'udp' })] });
      const said = client.output().length;
      await expect.poll(() => client.output().slice(said), { timeout: 3000 }).toContain('young\n');
      const family = host.includes(':') ? 6 : 4;
      const [flow] = flows({ family, protocol: 17, original: { destinationPort: 5353 } });
      expect(flow?.reply.source).toBe(want);
    } finally {
      for (const program of [client, ...servers]) await program.end();
    }
  },
);

test('flows that have nothing to do with the port are left alone', async () => {
  const pod = lab.pod(2);
  lab.add(lab.pod(3), { portMappings: [tcp(7000, { protocol: 'udp' })] });
  const server = await startServer(lab.client.path, 'client', 5353);
  const command = [process.execPath, '-e', talker, '203.0.113.9', '5353'];
  const client = await startIn(lab.host.path, command, 'client\n');
  try {
    const original = { destinationPort: 5353, destination: parseIP('203.0.113.9') };
    const filter: FlowFilter = { family: 4, protocol: 17, original };
    const ids = () => flows(filter).map(({ key }) => key.id?.toString('hex'));
    const before = ids();
    lab.add(pod, { portMappings: [tcp(5353, { protocol: 'udp' })] });
    lab.del(pod);
    expect(before).toHaveLength(1);
    expect(ids()).toEqual(before);
  } finally {
    for (const program of [client, server]) await program.end();
  }
});

test('SCTP is led to the pod, and its flow ends with the port', () => {
  const pod = lab.pod(2);
  lab.add(pod, { portMappings: [tcp(3868, { protocol: 'SCTP' })] });
  sendSctp(lab.client, lab.host, 3868);
  const filter: FlowFilter = { family: 4, protocol: 132, original: { destinationPort: 3868 } };
  expect(flows(filter).map(({ reply }) => [reply.source, reply.sourcePort])).toEqual([
    ['10.22.0.2', 8080],
  ]);
  lab.del(pod);
  expect(flows(filter)).toEqual([]);
});

test('the cost of a port does not depend on how many there are', () => {
  const previous: Result = { ...lab.pod(2).previous };
  const pods = Array.from({ length: 1030 }, (_, n): LabPod => {
    const address = parseIPWithPrefix(`10.22.${1 + (n >> 8)}.${n & 255}/24`);
    const ips = [{ address, interface: 2 }];
    return { id: `many-${n}`, netns: lab.host, previous: { ...previous, ips } };
  });
  const timed = (job: (pod: LabPod, n: number) => void, from: number, to: number) => {
    const times = pods.slice(from, to).map((pod, offset) => {
      const start = performance.now();
      job(pod, from + offset);
      return performance.now() - start;
    });
    return times.sort((a, b) => a - b)[times.length >> 1] ?? Number.NaN;
  };
  const addOne = (pod: LabPod, n: number) => lab.add(pod, { portMappings: [tcp(10_000 + n)] });
  const delOne = (pod: LabPod) => lab.del(pod);
  timed(addOne, 0, 10);
  const medians = { addEmpty: timed(addOne, 10, 30), addFull: 0, delFull: 0, delEmpty: 0 };
  timed(addOne, 30, 1000);
  medians.addFull = timed(addOne, 1000, 1030);
  medians.delFull = timed(delOne, 1000, 1030);
  timed(delOne, 30, 1000);
  medians.delEmpty = timed(delOne, 10, 30);
  process.stdout.write(`host ports, median ms: ${JSON.stringify(medians)}\n`);
  // Reading a thousand files or listing a thousand elements takes tens of milliseconds.
  expect(medians.addFull).toBeLessThan(3 * medians.addEmpty + 3);
  expect(medians.delFull).toBeLessThan(3 * medians.delEmpty + 3);
});

function sendSctp(from: TestNetns, to: TestNetns, port: number): void {
  const link = (netns: TestNetns) => {
    const [found] = netns.ip<{ ifindex: number; address: string }[]>('link', 'show', 'dev', 'up0');
    if (found === undefined) throw new Error('no up0');
    return { index: found.ifindex, mac: macToBytes(parseMac(found.address)) };
  };
  const [source, target] = [link(from), link(to)];
  const frame = Buffer.concat([
    target.mac,
    source.mac,
    Buffer.from([0x08, 0x00]),
    sctpInit('203.0.113.9', '203.0.113.1', port),
  ]);
  const netns = netnses.open(from.path);
  wire.sendFrames(netns.fd, [source.index], [frame]);
  netns.close();
}
