import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openIpvs } from '../../src/kernel/ipvs.ts';
import type {
  Ipvs,
  IpvsChange,
  ServerState,
  VirtualServer,
  VirtualServerKey,
} from '../../src/kernel/ipvs-types.ts';
import { netnses } from '../../src/kernel/netns.ts';
import type { Netns } from '../../src/kernel/types.ts';
import { parseIP } from '../../src/net/ip.ts';
import { formatServerKey } from '../../src/netlink/ipvs/server-key.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { countTurns } from '../support/turns.ts';
import { startIn } from '../support/workloads.ts';

const SCHEDULERS = [
  'rr',
  'wrr',
  'lc',
  'wlc',
  'lblc',
  'lblcr',
  'sh',
  'mh',
  'dh',
  'sed',
  'nq',
  'fo',
  'ovf',
];

let node: TestNetns;
let netns: Netns;
let ipvs: Ipvs;

beforeAll(() => {
  node = createNetns('ipvs');
  netns = netnses.open(node.path);
  ipvs = openIpvs({ netns });
});

afterAll(() => {
  ipvs.close();
  netns.close();
  node.remove();
});

// Starting a program costs most of the time here: what can be done without one is.
afterEach(async () => {
  const servers = await ipvs.servers();
  await ipvs.apply(servers.map(({ key }) => ({ op: 'deleteServer', key })));
});

function address(
  ip: string,
  port: number,
  protocol: 'tcp' | 'udp' | 'sctp' = 'tcp',
): VirtualServerKey {
  return { kind: 'address', ip: parseIP(ip), protocol, port };
}

const WEB = address('172.30.0.1', 80);
const DNS6 = address('fd00:30::1', 53, 'udp');

function server(key: VirtualServerKey, more: Partial<VirtualServer> = {}): VirtualServer {
  return { key, scheduler: 'rr', persistenceSeconds: 0, ...more };
}

function destination(ip: string, port: number, weight = 1) {
  return { ip: parseIP(ip), port, weight };
}

/** What `ipvsadm` would type to make what is there, sorted. */
function saved(): string[] {
  const lines = node.run('ipvsadm', '--save', '-n').split('\n');
  return lines
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .sort();
}

function byKey(servers: readonly VirtualServer[]): Map<string, VirtualServer> {
  return new Map(servers.map((each) => [formatServerKey(each.key), each]));
}

async function readStates(): Promise<ServerState[]> {
  const states: ServerState[] = [];
  for await (const part of ipvs.states()) states.push(...part);
  return states;
}

interface ServerCase {
  readonly server: VirtualServer;
  readonly want: string;
}

const CASES: readonly ServerCase[] = [
  { server: server(WEB), want: '-t 172.30.0.1:80 -s rr' },
  { server: server(address('172.30.0.1', 9, 'sctp')), want: '--sctp-service 172.30.0.1:9 -s rr' },
  {
    server: server(DNS6, { scheduler: 'wrr', persistenceSeconds: 10800 }),
    want: '-u [fd00:30::1]:53 -s wrr -p 10800',
  },
  {
    server: server(address('fd00:30::1', 53), {
      persistenceSeconds: 300,
      persistencePrefixLength: 64,
    }),
    want: '-t [fd00:30::1]:53 -s rr -p 300 -M 64',
  },
  {
    server: server(address('172.30.0.1', 443), {
      persistenceSeconds: 300,
      persistencePrefixLength: 24,
    }),
    want: '-t 172.30.0.1:443 -s rr -p 300 -M 255.255.255.0',
  },
  {
    server: server(address('172.30.0.1', 81), {
      scheduler: 'mh',
      fallback: true,
      hashesPort: true,
    }),
    want: '-t 172.30.0.1:81 -s mh -b mh-fallback,mh-port',
  },
  {
    server: server(address('172.30.0.1', 82), { scheduler: 'sh', hashesPort: true }),
    want: '-t 172.30.0.1:82 -s sh -b sh-port',
  },
  {
    server: server(address('172.30.0.1', 53, 'udp'), { onePacket: true }),
    want: '-u 172.30.0.1:53 -s rr -o',
  },
  { server: server({ kind: 'mark', mark: 0x4001, family: 4 }), want: '-f 16385 -s rr' },
  { server: server({ kind: 'mark', mark: 7, family: 6 }), want: '-f 7 -6 -s rr' },
  ...SCHEDULERS.map((scheduler, i) => ({
    server: server(address('172.30.0.9', i + 1), { scheduler }),
    want: `-t 172.30.0.9:${i + 1} -s ${scheduler}`,
  })),
];

describe('servers of every kind', () => {
  const lines = CASES.map(({ want }) => `-A ${want}`).sort();

  test('ipvsadm shows what was made', async () => {
    await ipvs.apply(CASES.map((made) => ({ op: 'addServer', server: made.server })));
    expect(saved()).toEqual(lines);
  });

  test('what ipvsadm made is read', async () => {
    node.run('sh', '-c', `ipvsadm --restore <<'END'\n${lines.join('\n')}\nEND`);
    const read = await ipvs.servers();
    expect(byKey(read)).toEqual(byKey(CASES.map((made) => made.server)));
  });
});

test('a server changes its scheduler, flags and persistence and keeps its destinations', async () => {
  await ipvs.apply([
    { op: 'addServer', server: server(WEB, { scheduler: 'mh', hashesPort: true }) },
    { op: 'addDestination', key: WEB, destination: destination('10.0.0.9', 8080) },
    { op: 'setServer', server: server(WEB, { scheduler: 'wlc', persistenceSeconds: 60 }) },
  ]);
  expect(saved()).toEqual([
    '-A -t 172.30.0.1:80 -s wlc -p 60',
    '-a -t 172.30.0.1:80 -r 10.0.0.9:8080 -m -w 1',
  ]);
  await ipvs.apply([{ op: 'setServer', server: server(WEB) }]);
  expect(await ipvs.servers()).toEqual([server(WEB)]);
});

test('destinations come, change their weight and go', async () => {
  await ipvs.apply([
    { op: 'addServer', server: server(WEB) },
    { op: 'addServer', server: server(DNS6) },
    { op: 'addDestination', key: WEB, destination: destination('10.0.0.9', 8080, 3) },
    { op: 'addDestination', key: WEB, destination: destination('10.0.0.10', 8080, 0) },
    { op: 'addDestination', key: DNS6, destination: destination('fd00:10::9', 5353) },
  ]);
  expect(saved()).toEqual([
    '-A -t 172.30.0.1:80 -s rr',
    '-A -u [fd00:30::1]:53 -s rr',
    '-a -t 172.30.0.1:80 -r 10.0.0.10:8080 -m -w 0',
    '-a -t 172.30.0.1:80 -r 10.0.0.9:8080 -m -w 3',
    '-a -u [fd00:30::1]:53 -r [fd00:10::9]:5353 -m -w 1',
  ]);
  await ipvs.apply([
    { op: 'setDestination', key: WEB, destination: destination('10.0.0.9', 8080, 0) },
    { op: 'deleteDestination', key: WEB, destination: destination('10.0.0.10', 8080) },
    { op: 'deleteServer', key: DNS6 },
  ]);
  expect(saved()).toEqual([
    '-A -t 172.30.0.1:80 -s rr',
    '-a -t 172.30.0.1:80 -r 10.0.0.9:8080 -m -w 0',
  ]);
});

test('destinations of others are read as they are', async () => {
  node.run('ipvsadm', '-A', '-t', '172.30.0.1:80', '-s', 'wrr');
  node.run('ipvsadm', '-a', '-t', '172.30.0.1:80', '-r', '10.0.0.9', '-i', '-w', '7', '-x', '5');
  const idle = { activeConnections: 0, inactiveConnections: 0, persistentConnections: 0 };
  expect(await readStates()).toEqual([
    {
      server: server(WEB, { scheduler: 'wrr' }),
      destinations: [{ ...destination('10.0.0.9', 80, 7), ...idle, isMasquerading: false }],
    },
  ]);
});

test('a connection is counted at its destination', async () => {
  for (const ip of ['172.30.0.1', '10.0.0.9']) node.ip('address', 'add', `${ip}/32`, 'dev', 'lo');
  await ipvs.apply([
    { op: 'addServer', server: server(WEB, { persistenceSeconds: 60 }) },
    { op: 'addDestination', key: WEB, destination: destination('10.0.0.9', 8080) },
  ]);
  const program = `
    import { connect, createServer } from 'node:net';
    createServer(() => {}).listen(8080, '10.0.0.9', () => {
      connect(80, '172.30.0.1', () => console.log('connected'));
    });`;
  const command = [process.execPath, '--input-type=module', '--eval', program];
  const connection = await startIn(node.path, command, 'connected');
  try {
    expect(ipvs.destinations(WEB)).toMatchObject([
      { activeConnections: 1, inactiveConnections: 0, persistentConnections: 1 },
    ]);
  } finally {
    await connection.end();
  }
});

test.each<{ name: string; change: IpvsChange; code: string; message: string }>([
  {
    name: 'a server that is there',
    change: { op: 'addServer', server: server(WEB) },
    code: 'EEXIST',
    message: 'add virtual server TCP 172.30.0.1:80: EEXIST',
  },
  {
    name: 'a scheduler that is not there',
    change: { op: 'addServer', server: server(DNS6, { scheduler: 'nowhere' }) },
    code: 'ENOENT',
    message: 'modprobe ip_vs_nowhere',
  },
  {
    name: 'a change to a scheduler that is not there',
    change: { op: 'setServer', server: server(WEB, { scheduler: 'nowhere' }) },
    code: 'ENOENT',
    message: 'CONFIG_IP_VS_NOWHERE',
  },
  {
    name: 'a change of a server that is not there',
    change: { op: 'setServer', server: server(DNS6) },
    code: 'ESRCH',
    message: 'set virtual server UDP [fd00:30::1]:53: ESRCH',
  },
  {
    name: 'the end of a server that is not there',
    change: { op: 'deleteServer', key: DNS6 },
    code: 'ESRCH',
    message: 'delete virtual server UDP [fd00:30::1]:53: ESRCH',
  },
  {
    name: 'a destination that is there',
    change: { op: 'addDestination', key: WEB, destination: destination('10.0.0.9', 8080) },
    code: 'EEXIST',
    message: 'add destination 10.0.0.9:8080 of TCP 172.30.0.1:80: EEXIST',
  },
  {
    name: 'a weight of a destination that is not there',
    change: { op: 'setDestination', key: WEB, destination: destination('10.0.0.1', 8080) },
    code: 'ENOENT',
    message: 'set destination 10.0.0.1:8080 of TCP 172.30.0.1:80: ENOENT',
  },
  {
    name: 'the end of a destination that is not there',
    change: { op: 'deleteDestination', key: WEB, destination: destination('10.0.0.1', 8080) },
    code: 'ENOENT',
    message: 'delete destination 10.0.0.1:8080 of TCP 172.30.0.1:80: ENOENT',
  },
  {
    name: 'a destination of a server that is not there',
    change: { op: 'addDestination', key: DNS6, destination: destination('fd00::9', 53) },
    code: 'ESRCH',
    message: 'add destination [fd00::9]:53 of UDP [fd00:30::1]:53: ESRCH',
  },
  {
    name: 'a destination of the other family',
    change: { op: 'addDestination', key: WEB, destination: destination('fd00::9', 80) },
    code: 'EINVAL',
    message: 'add destination [fd00::9]:80 of TCP 172.30.0.1:80: EINVAL',
  },
])('refused: $name', async ({ change, code, message }) => {
  await ipvs.apply([
    { op: 'addServer', server: server(WEB) },
    { op: 'addDestination', key: WEB, destination: destination('10.0.0.9', 8080) },
  ]);
  const before = await readStates();
  await expect(ipvs.apply([change])).rejects.toMatchObject({
    ...{ name: 'IpvsError', code, failures: [{ change, code }] },
    message: expect.stringContaining(message),
  });
  expect(await readStates()).toEqual(before);
});

test('what is refused does not hold up the rest, and all of it is told', async () => {
  const twice: IpvsChange = { op: 'addServer', server: server(WEB) };
  const gone: IpvsChange = { op: 'deleteServer', key: DNS6 };
  const last: IpvsChange = { op: 'addServer', server: server(address('172.30.0.2', 80)) };
  await expect(ipvs.apply([twice, twice, gone, last])).rejects.toMatchObject({
    failures: [
      { change: twice, code: 'EEXIST' },
      { change: gone, code: 'ESRCH' },
    ],
  });
  expect(saved()).toEqual(['-A -t 172.30.0.1:80 -s rr', '-A -t 172.30.0.2:80 -s rr']);
});

test('many servers: all of them, and the event loop has turns meanwhile', async () => {
  const keys = Array.from({ length: 1000 }, (_, i) => address('172.30.0.1', i + 1));
  const changes = keys.flatMap((key): IpvsChange[] => [
    { op: 'addServer', server: server(key) },
    { op: 'addDestination', key, destination: destination('10.0.0.9', 8080) },
    { op: 'addDestination', key, destination: destination('10.0.0.10', 8080) },
  ]);
  expect((await countTurns(() => ipvs.apply(changes))).turns).toBeGreaterThan(3);
  const { result: states, turns } = await countTurns(readStates);
  expect(turns).toBeGreaterThan(5);
  expect(new Set(states.map((state) => state.server.key))).toEqual(new Set(keys));
  expect(states.every((state) => state.destinations.length === 2)).toBe(true);
});

test('other requests are answered while the servers are listed', async () => {
  await ipvs.apply([
    { op: 'addServer', server: server(WEB) },
    { op: 'addDestination', key: WEB, destination: destination('10.0.0.9', 8080) },
  ]);
  const listing = ipvs.servers();
  expect(ipvs.destinations(WEB)).toHaveLength(1);
  expect(await listing).toHaveLength(1);
});

test('timeouts; 0 leaves one as it is', () => {
  ipvs.setTimeouts({ tcpSeconds: 700, tcpFinSeconds: 70, udpSeconds: 7 });
  ipvs.setTimeouts({ tcpSeconds: 0, tcpFinSeconds: 71, udpSeconds: 0 });
  expect(node.run('ipvsadm', '-L', '--timeout').trim()).toBe('Timeout (tcp tcpfin udp): 700 71 7');
  expect(ipvs.timeouts()).toEqual({ tcpSeconds: 700, tcpFinSeconds: 71, udpSeconds: 7 });
});

test('the version is the one ipvsadm tells', () => {
  expect(node.run('ipvsadm', '-Ln')).toContain(`IP Virtual Server version ${ipvs.version} `);
});

test('servers belong to their namespace', async () => {
  await ipvs.apply([{ op: 'addServer', server: server(WEB) }]);
  const own = openIpvs();
  try {
    expect(await own.servers()).toEqual([]);
    expect(own.destinations(WEB)).toEqual([]);
  } finally {
    own.close();
  }
});
