/** Connections over loopback, from a client through the relay to a server. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { parseIP } from '../../../../../src/net/ip.ts';
import { endpointKey } from '../../../../../src/proxy/modes/userspace/endpoint-choice.ts';
import { relay } from '../../../../../src/proxy/modes/userspace/tcp-relay.ts';
import { systemClock } from '../../../../../src/util/clock.ts';
import { until } from '../../../../support/until.ts';

const LOOPBACK = parseIP('127.0.0.1');
/** More than the buffers of all sockets on the way. */
const LARGE = 64 * 1024 * 1024;
const closing: (() => void)[] = [];

afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function listen(onConnection: (socket: Socket) => unknown, options = {}): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, ...options }, (socket) => {
    closing.push(() => socket.destroy());
    onConnection(socket);
  });
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  closing.push(() => server.close());
  return server;
}

// A server that listens at an address has a port.
const portOf = (server: Server) => (server.address() as AddressInfo).port;

/** All until the other side ends; the stream consumers of Node would destroy the socket then. */
async function readAll(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  socket.on('data', (part: Buffer) => parts.push(part));
  await once(socket, 'end');
  return Buffer.concat(parts);
}

/** A port on which nobody listens. */
async function closedPort(): Promise<number> {
  const server = await listen(() => {});
  const port = portOf(server);
  server.close();
  await once(server, 'close');
  return port;
}

/** A connection to a relay that tries these ports in turn. */
async function visit(ports: readonly number[]) {
  const outcome = { connected: [] as number[], refused: 0, ended: 0 };
  const candidates = ports.map((port) => ({
    ...{ ip: LOOPBACK, port, isLocal: false, probability: 1, isMasqueraded: true },
    because: 'fromNode' as const,
  }));
  const server = await listen(
    (client) =>
      relay({
        client,
        choose: (tried) => candidates.find((candidate) => !tried.has(endpointKey(candidate))),
        onConnected: ({ port }) => outcome.connected.push(port),
        onRefused: () => outcome.refused++,
        onEnd: () => outcome.ended++,
        clock: systemClock,
      }),
    { pauseOnConnect: true },
  );
  const client = connect({ host: LOOPBACK, port: portOf(server), allowHalfOpen: true });
  client.on('error', () => {});
  closing.push(() => client.destroy());
  return { client, outcome };
}

test('an end of one direction leaves the other open', async () => {
  const server = await listen(async (socket) => {
    const asked = await readAll(socket);
    socket.end(`answer to ${asked}`);
  });
  const { client } = await visit([portOf(server)]);
  client.end('question');
  expect((await readAll(client)).toString()).toBe('answer to question');
});

test('the server may end first', async () => {
  const heard = Promise.withResolvers<string>();
  const server = await listen(async (socket) => {
    socket.end('all I have');
    heard.resolve((await readAll(socket)).toString());
  });
  const { client } = await visit([portOf(server)]);
  expect((await readAll(client)).toString()).toBe('all I have');
  client.end('thanks');
  expect(await heard.promise).toBe('thanks');
});

test('nothing is lost, and a slow reader slows the writer down', async () => {
  let reader: Socket | undefined;
  const server = await listen((socket) => {
    socket.pause();
    reader = socket;
  });
  const { client } = await visit([portOf(server)]);
  const before = process.memoryUsage().arrayBuffers;
  const chunk = Buffer.alloc(1024 * 1024, 'x');
  let written = 0;
  const write = () => {
    while (written < LARGE) {
      written += chunk.length;
      if (!client.write(chunk)) return client.once('drain', write);
    }
    return client.end();
  };
  write();
  const slow = await until('the server is connected', () => reader);
  let last = -1;
  await until('no more is written', () => {
    const isStill = last === written && client.writableNeedDrain;
    last = written;
    return isStill;
  });
  expect(written).toBeLessThan(LARGE / 2);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(LARGE / 2);
  slow.resume();
  expect((await readAll(slow)).length).toBe(LARGE);
});

test('what the client said before an endpoint was found reaches it', async () => {
  const heard = Promise.withResolvers<string>();
  const server = await listen((socket) => {
    socket.once('data', (bytes) => heard.resolve(bytes.toString()));
    socket.once('end', () => socket.end());
  });
  const { client, outcome } = await visit([await closedPort(), portOf(server)]);
  client.write('hello');
  expect(await heard.promise).toBe('hello');
  expect(outcome).toEqual({ connected: [portOf(server)], refused: 0, ended: 0 });
  client.end();
  client.resume();
  await until('both sides have ended', () => outcome.ended === 1);
});

test('when no endpoint takes it, it is reset', async () => {
  const { client, outcome } = await visit([await closedPort(), await closedPort()]);
  const [error] = await once(client, 'error');
  await until('it has ended', () => outcome.ended);
  expect([error.code, outcome]).toEqual(['ECONNRESET', { connected: [], refused: 1, ended: 1 }]);
});

test('more than four are not tried', async () => {
  const server = await listen(() => {});
  const closed = await Promise.all(Array.from({ length: 4 }, closedPort));
  const { client, outcome } = await visit([...closed, portOf(server)]);
  await once(client, 'error');
  expect(outcome).toMatchObject({ connected: [], refused: 1 });
});

test('a reset is passed on, either way', async () => {
  const server = await listen((socket) => {
    socket.once('data', () => socket.resetAndDestroy());
  });
  const { client } = await visit([portOf(server)]);
  client.write('end it');
  const [error] = await once(client, 'error');
  expect(error.code).toBe('ECONNRESET');

  const seen = Promise.withResolvers<string | undefined>();
  const other = await listen((socket) => {
    socket.on('error', (thrown: NodeJS.ErrnoException) => seen.resolve(thrown.code));
    socket.on('data', () => {});
    socket.write('hello');
  });
  const second = await visit([portOf(other)]);
  await once(second.client, 'data');
  second.client.resetAndDestroy();
  expect(await seen.promise).toBe('ECONNRESET');
});
