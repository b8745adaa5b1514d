import { closeSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { UnixServer } from '../../../src/kernel/unix-socket.ts';
import { wire } from '../../../src/netlink/wire.ts';
import { collectGarbage } from '../../support/garbage.ts';
import { until } from '../../support/until.ts';

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weft-socket-'));
  path = join(directory, 'sock');
});

afterEach(() => rmSync(directory, { recursive: true }));

test.each(['the client', 'the server'])(
  'nothing is kept of a connection that %s has closed',
  async (who) => {
    const kept: WeakRef<object>[] = [];
    let closed = 0;
    const server = UnixServer.listen(path, {
      mode: 0o600,
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
