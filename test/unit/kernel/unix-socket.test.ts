import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { UnixServer, type UnixServerOptions } from '../../../src/kernel/unix-socket.ts';
import { wire } from '../../../src/netlink/wire.ts';
import { createLogger } from '../../../src/util/log.ts';
import { collectGarbage } from '../../support/garbage.ts';
import { until } from '../../support/until.ts';

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weft-socket-'));
  path = join(directory, 'sock');
});

afterEach(() => rmSync(directory, { recursive: true }));

function listen(options: Pick<UnixServerOptions, 'onConnection'> & Partial<UnixServerOptions>) {
  return UnixServer.listen(path, {
    ...{ mode: 0o600, most: 8, log: createLogger('silent') },
    ...options,
  });
}

/** Until the server, in this same process, has seen what was sent. */
async function turnsAfter(client: Socket): Promise<void> {
  await new Promise((resolve) => client.once('connect', resolve));
  await sleep(10);
}

/** What comes back, or undefined from a server that refuses. */
function ask(at: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const client = connect(at).on('error', () => resolve(undefined));
    client.on('data', (bytes) => resolve(bytes.toString())).on('close', () => resolve(undefined));
    client.write('x');
  });
}

test.each(['the client', 'the server'])(
  'nothing is kept of a connection that %s has closed',
  async (who) => {
    const kept: WeakRef<object>[] = [];
    let closed = 0;
    const server = listen({
      onConnection: (connection) => {
        const request: { bytes: Uint8Array } = { bytes: Buffer.alloc(100) };
        kept.push(new WeakRef(connection), new WeakRef(request));
        connection.onClose(() => closed++);
        connection.onData((bytes) => {
          request.bytes = bytes;
          if (who === 'the server') connection.end();
        });
      },
    });
    for (let i = 0; i < 50; i++) {
      const client = connect(path);
      client.resume().end('hello');
      await new Promise((resolve) => client.on('close', resolve));
    }
    await until('all are closed', () => closed === 50);
    collectGarbage();
    await turn();
    collectGarbage();
    const left = kept.filter((reference) => reference.deref() !== undefined);
    server.close();
    // The last one may still be on the stack of the event loop.
    expect(left.length).toBeLessThanOrEqual(2);
  },
);

test('a watch that is closed from within its listener lets go of it', async () => {
  const listener = wire.listenUnix(path, 1);
  const seen: WeakRef<object>[] = [];
  (() => {
    const owner = { calls: 0 };
    seen.push(new WeakRef(owner));
    const watch = new wire.Watch(listener, () => {
      owner.calls++;
      watch.close();
    });
  })();
  const client = connect(path);
  await new Promise((resolve) => client.on('connect', resolve));
  await turn();
  await turn();
  collectGarbage();
  await turn();
  collectGarbage();
  client.destroy();
  closeSync(listener);
  expect(seen[0]?.deref()).toBeUndefined();
});

test('descriptors that nobody takes are closed', async () => {
  const sender = join(directory, 'send-descriptors');
  const source = new URL('../../sanitized/send-descriptors.c', import.meta.url).pathname;
  execFileSync('gcc', ['-o', sender, source]);
  let received = 0;
  const server = listen({
    onConnection: (connection) => {
      connection.onData((bytes) => {
        received += bytes.length;
      });
    },
  });
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => spawn(sender, [path]).on('close', resolve));
  }
  await until('all has come', () => received >= 25);
  await until('all are closed', () => readdirSync('/proc/self/fd').length <= before);
  server.close();
});

test('idle connections give way, and those that are worked for do not', async () => {
  const server = listen({
    most: 4,
    onConnection: (connection) => {
      connection.onData((bytes) => {
        connection.beginWork();
        if (bytes.toString() !== 'wait') connection.end();
      });
    },
  });
  const closed = new Set<number>();
  const clients: Socket[] = [];
  const open = async (sends: string) => {
    const client = connect(path);
    const index = clients.push(client) - 1;
    client.on('error', () => {}).on('close', () => closed.add(index));
    client.resume().write(sends);
    await turnsAfter(client);
  };
  await open('wait');
  for (let i = 0; i < 6; i++) await open('');
  await until('who is idle has given way', () => closed.size >= 4);
  expect(closed.has(0)).toBe(false);
  server.close();
  for (const client of clients) client.destroy();
});

test('a peer is known to be gone before its end is read', async () => {
  const seen: boolean[] = [];
  const server = listen({
    onConnection: (connection) => {
      connection.onData(() => {
        seen.push(connection.isPeerGone());
        client.destroy();
        while (!connection.isPeerGone()) {
          // The end of the other side is one system call away.
        }
        seen.push(connection.isPeerGone());
      });
    },
  });
  const client = connect(path);
  client.write('x');
  await until('it was asked twice', () => seen.length === 2);
  server.close();
  expect(seen).toEqual([false, true]);
});

test('a kernel without memory for connections is asked again now and then, not all the time', async () => {
  const script = new URL('../../support/workloads/unix-server.ts', import.meta.url).pathname;
  const trace = join(directory, 'trace');
  const strace = ['-f', '-qq', '-o', trace, '-e', 'trace=accept4'];
  const failing = [...strace, '-e', 'inject=accept4:error=ENOMEM'];
  const child = spawn('strace', [...failing, process.execPath, script, path], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const output: string[] = [];
  lines.on('line', (line) => output.push(line));
  await until('it listens', () => output.includes('listening'));
  connect(path).on('error', () => {});
  const asked = () => readFileSync(trace, 'utf8').split('ENOMEM').length - 1;
  await until('it was asked', () => asked() > 0);
  const startedAt = performance.now();
  await until('it is asked again', () => asked() > 10);
  // Twice in 100 ms; without a pause it would be tens of thousands a second.
  expect(asked() / (performance.now() - startedAt)).toBeLessThan(0.2);
  child.kill('SIGKILL');
  await new Promise((resolve) => child.on('close', resolve));
});

test('without descriptors left connections are refused, and served once there are some', async () => {
  const script = new URL('../../support/workloads/unix-server.ts', import.meta.url).pathname;
  const limited = ['--nofile=64', process.execPath, script, path];
  const child = spawn('prlimit', limited, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const output: string[] = [];
  lines.on('line', (line) => output.push(line));
  await until('it listens', () => output.includes('listening'));
  const clients = Array.from({ length: 300 }, () =>
    connect(path)
      .on('error', () => {})
      .resume(),
  );
  await until('somebody is refused', () => output.some((line) => line.includes('EMFILE')));
  expect(child.exitCode).toBeNull();
  for (const client of clients) client.destroy();
  await until('an answer comes', () => ask(path));
  expect(output.filter((line) => line.includes('connections refused'))).toHaveLength(1);
  child.stdin.end();
  await new Promise((resolve) => child.on('close', resolve));
});
