/** Services on loopback addresses, with endpoints of this process. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Service } from '../../../../../src/kube/types.ts';
import { type IP, parseIP } from '../../../../../src/net/ip.ts';
import { FrontendClaims } from '../../../../../src/proxy/claims.ts';
import { parseSlice } from '../../../../../src/proxy/endpoints.ts';
import { Forwarder } from '../../../../../src/proxy/modes/userspace/forwarder.ts';
import { Connections } from '../../../../../src/proxy/modes/userspace/limits.ts';
import { placeKey } from '../../../../../src/proxy/modes/userspace/places.ts';
import { Traffic } from '../../../../../src/proxy/modes/userspace/traffic.ts';
import { UdpFlows } from '../../../../../src/proxy/modes/userspace/udp-flows.ts';
import { parseService } from '../../../../../src/proxy/service.ts';
import { type ResolvedPort, resolvePort } from '../../../../../src/proxy/state.ts';
import { systemClock } from '../../../../../src/util/clock.ts';
import { service, slice } from '../../../../support/proxy-objects.ts';
import { until } from '../../../../support/until.ts';

const LOOPBACK = parseIP('127.0.0.1');
const VIP = '127.30.0.1';
const VIEW = { nodeName: 'node-a', zone: undefined, nodeIP: undefined };
const LIMITS = { connections: 10, connectionsPerService: 10, udpFlows: 10, udpIdleMs: 60_000 };
const closing: (() => void)[] = [];

let forwarder: Forwarder;
let flows: UdpFlows;
let failures: string[];
let mostSockets: number;

beforeEach(() => {
  failures = [];
  mostSockets = 100;
  flows = new UdpFlows({ idleMs: LIMITS.udpIdleMs, most: LIMITS.udpFlows, clock: systemClock });
  const connections = new Connections(LIMITS);
  const traffic = new Traffic({ family: 4, connections, flows, clock: systemClock });
  forwarder = new Forwarder({
    traffic,
    hasRoom: () => forwarder.sockets < mostSockets,
    onFailure: (place, reason) => failures.push(`${placeKey(place)}: ${reason}`),
  });
  follow();
  closing.push(() => {
    forwarder.close();
    traffic.close();
  });
});

afterEach(() => {
  for (const close of closing.splice(0)) close();
});

function follow(...nodePortIPs: readonly IP[]): void {
  forwarder.follow({
    ...{ localDetector: undefined, masqueradesAll: false, serviceCIDRs: [] },
    ...{ nodePortIPs, localAddresses: [LOOPBACK] },
  });
}

/**
 * A Service with these ports as endpoints on 127.0.0.1, at an address that everybody may listen at. A
 * Service of a cluster may have neither.
 */
function resolve(object: Service, ports: readonly number[]): readonly ResolvedPort[] {
  const parsed = parseService({
    ...object,
    spec: { ...object.spec, clusterIP: '10.30.0.1', clusterIPs: ['10.30.0.1'] },
  }).get(4);
  if (parsed === undefined) throw new Error('no Service');
  const clusterIP = parseIP(object.spec.clusterIP ?? '');
  const entry = { ...parsed, ports: parsed.ports.map((port) => ({ ...port, clusterIP })) };
  const claims = new FrontendClaims();
  claims.update([], entry);
  return entry.ports.map((port) => {
    const protocol = port.protocol === 'udp' ? 'UDP' : 'TCP';
    const records = ports.flatMap((each, i) => {
      const listed = slice({
        ...{ service: object.metadata.name, suffix: String(i), endpoints: ['10.0.0.1'] },
        ports: [{ name: port.portName, protocol, port: each }],
      });
      const record = parseSlice(listed, 'node-a')?.record;
      const endpoints = record?.endpoints.map((each) => ({ ...each, ip: LOOPBACK })) ?? [];
      return record === undefined ? [] : { ...record, endpoints };
    });
    return resolvePort(port, records, claims, VIEW);
  });
}

async function bring(...group: readonly (readonly [string, readonly ResolvedPort[]])[]) {
  forwarder.update(new Map(group));
  await forwarder.open();
  forwarder.closeUnwanted();
}

/** A free port of this address. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, VIP);
  await once(server, 'listening');
  // A server that listens at an address has a port.
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A server that says its name, and its port. */
async function startServer(name: string): Promise<number> {
  const server = createServer((socket) => {
    // Connections that are open at the end of a test are reset.
    socket.on('error', () => {});
    socket.end(name);
  }).listen(0, LOOPBACK);
  await once(server, 'listening');
  closing.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** What is said at a port of the Service's address, or the code of the error. */
async function ask(port: number): Promise<string> {
  const socket = connect(port, VIP);
  socket.on('error', () => {});
  closing.push(() => socket.destroy());
  let said = '';
  socket.on('data', (bytes) => {
    said += bytes;
  });
  try {
    await once(socket, 'end');
    return said;
  } catch (thrown) {
    // Sockets fail with errors of the system.
    return (thrown as NodeJS.ErrnoException).code ?? '';
  }
}

const web = (port: number, name = 'web') =>
  service(name, VIP, { ports: [{ name: 'http', protocol: 'TCP', port }] });

test('it listens where there are endpoints, follows them, and ends', async () => {
  const [port, one, two] = [await freePort(), await startServer('one'), await startServer('two')];
  const said: string[] = [];
  for (const endpoints of [[one], [two], [], [one]]) {
    await bring(['ns/web', resolve(web(port), endpoints)]);
    said.push(await ask(port));
  }
  await bring(['ns/web', []]);
  said.push(await ask(port));
  expect(said).toEqual(['one', 'two', 'ECONNREFUSED', 'one', 'ECONNREFUSED']);
});

test('what it serves of a Service is what it was given last', async () => {
  const object = service('web', VIP, {
    ports: [{ name: 'http', protocol: 'TCP', port: await freePort() }],
  });
  const [before, after] = [resolve(object, [1]), resolve(object, [2])];
  await bring(['ns/web', before]);
  expect([forwarder.portsOf('ns/web'), forwarder.portsOf('ns/other')]).toEqual([before, []]);
  await bring(['ns/web', after]);
  expect(forwarder.portsOf('ns/web')).toEqual(after);
});

test('Services that are not named among all are gone', async () => {
  const [port, one] = [await freePort(), await startServer('one')];
  await bring(['ns/web', resolve(web(port), [one])]);
  forwarder.retain(new Set(['ns/web']));
  await bring();
  expect(await ask(port)).toBe('one');
  forwarder.retain(new Set());
  await bring();
  expect([await ask(port), forwarder.counts.listening]).toEqual(['ECONNREFUSED', 0]);
});

test('a frontend passes from one Service to another and is never closed', async () => {
  const [port, one, two] = [await freePort(), await startServer('one'), await startServer('two')];
  await bring(['ns/web', resolve(web(port), [one])]);
  const asking = ask(port);
  await bring(['ns/web', []], ['ns/next', resolve(web(port, 'next'), [two])]);
  expect([await asking, await ask(port), failures]).toEqual([
    expect.stringMatching(/one|two/),
    'two',
    [],
  ]);
});

test('a frontend that another Service has taken is not lost with its first owner', async () => {
  const [port, one, two] = [await freePort(), await startServer('one'), await startServer('two')];
  await bring(['ns/web', resolve(web(port), [one])]);
  await bring(['ns/next', resolve(web(port, 'next'), [two])]);
  await bring(['ns/web', []]);
  expect(await ask(port)).toBe('two');
});

test('no more sockets than there is room for, also when they open together', async () => {
  mostSockets = 2;
  const [one, ports] = [await startServer('one'), [await freePort(), await freePort()]];
  const all = [...ports, await freePort()].map(
    (port, i) => [`ns/s${i}`, resolve(web(port, `s${i}`), [one])] as const,
  );
  await bring(...all);
  await bring();
  expect(forwarder.counts).toEqual({ listening: 2, failed: 1 });
  expect(failures).toEqual([expect.stringMatching('no more open files for listening sockets')]);
  await bring(['ns/s0', []]);
  await bring();
  expect(forwarder.counts).toEqual({ listening: 2, failed: 0 });
});

test('a place that is taken is told once, and served when it is free', async () => {
  const [port, one] = [await freePort(), await startServer('one')];
  const holder = createServer((socket) => socket.end('holder')).listen(port, '0.0.0.0');
  await once(holder, 'listening');
  await bring(['ns/web', resolve(web(port), [one])]);
  await bring();
  expect(failures).toEqual([expect.stringMatching(`tcp ${VIP} ${port}: .*EADDRINUSE`)]);
  expect([forwarder.counts, await ask(port)]).toEqual([{ listening: 0, failed: 1 }, 'holder']);
  expect([...forwarder.failures].map(({ place, reason }) => [place.port, reason])).toEqual([
    [port, expect.stringMatching('EADDRINUSE')],
  ]);
  holder.close();
  await once(holder, 'close');
  await bring();
  expect([forwarder.counts, await ask(port)]).toEqual([{ listening: 1, failed: 0 }, 'one']);
});

test('SCTP is told', async () => {
  const sctp = service('sctp', VIP, { ports: [{ name: 'http', protocol: 'SCTP', port: 9 }] });
  const [port] = resolve(web(9), [1]);
  const [bare] = resolve(sctp, []);
  if (port === undefined || bare === undefined) throw new Error('no ports');
  const frontends = port.frontends.map((each, i) => ({
    ...each,
    frontend: bare.frontends[i]?.frontend ?? each.frontend,
  }));
  await bring(['ns/sctp', [{ ...port, frontends }]]);
  expect(failures).toEqual([expect.stringContaining('no sockets for SCTP')]);
});

test('NodePorts follow the addresses of the node', async () => {
  const [port, one] = [await freePort(), await startServer('one')];
  const spec = {
    type: 'NodePort',
    ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: port }],
  } as const;
  const nodePort = resolve(service('np', '127.30.0.9', { ...spec, ports: [...spec.ports] }), [one]);
  const without = nodePort.map((each) => ({
    ...each,
    frontends: each.frontends.filter(({ frontend }) => frontend.kind === 'nodePort'),
  }));
  await bring(['ns/np', without]);
  const said = [await ask(port)];
  follow(parseIP(VIP));
  await bring();
  said.push(await ask(port));
  follow();
  await bring();
  said.push(await ask(port));
  expect(said).toEqual(['ECONNREFUSED', 'one', 'ECONNREFUSED']);
});

test('a UDP flow keeps its endpoint until that is gone', async () => {
  const ports = await Promise.all(['one', 'two'].map(startUdpServer));
  const port = await freePort();
  const dns = service('dns', VIP, { ports: [{ name: 'dns', protocol: 'UDP', port }] });
  await bring(['ns/dns', resolve(dns, ports)]);
  const client = await udpClient();
  const say = async () => {
    client.send('?', port, VIP);
    const [answer] = await once(client, 'message');
    return String(answer);
  };
  const first = await say();
  expect([await say(), await say(), flows.size]).toEqual([first, first, 1]);
  const left = first === 'one' ? 'two' : 'one';
  await bring(['ns/dns', resolve(dns, [ports[left === 'one' ? 0 : 1] ?? 0])]);
  expect(flows.size).toBe(0);
  expect([await say(), flows.size]).toEqual([left, 1]);
});

test('a UDP flow to an endpoint that refuses ends, and the next goes elsewhere', async () => {
  const [gone, two] = [await freePort(), await startUdpServer('two')];
  const port = await freePort();
  const dns = service('dns', VIP, { ports: [{ name: 'dns', protocol: 'UDP', port }] });
  await bring(['ns/dns', resolve(dns, [gone, two])]);
  const client = await udpClient();
  let answer = '';
  client.on('message', (message) => {
    answer = String(message);
  });
  await until('the other one answers', () => {
    client.send('?', port, VIP);
    return answer;
  });
  expect(answer).toBe('two');
});

async function udpClient(): Promise<UdpSocket> {
  const socket = createSocket('udp4');
  socket.bind(0, LOOPBACK);
  await once(socket, 'listening');
  closing.push(() => socket.close());
  return socket;
}

async function startUdpServer(name: string): Promise<number> {
  const socket = await udpClient();
  socket.on('message', (_, { port, address }) => socket.send(name, port, address));
  return socket.address().port;
}
