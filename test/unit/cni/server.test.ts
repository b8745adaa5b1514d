import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RUN_STANDALONE } from '../../../src/cni/protocol/frame.ts';
import { CniServer } from '../../../src/cni/server.ts';
import { createLogger } from '../../../src/util/log.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { until } from '../../support/until.ts';
import { FakeNode } from './fake-node.ts';

let directory: string;
let clock: FakeClock;
let server: CniServer;
let node: FakeNode;
let served: (readonly [verb: string, errorCode: number, seconds: number])[];
let lines: Record<string, unknown>[];
/** By container: what its calls wait for. */
let waits: Map<string, PromiseWithResolvers<void>>;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wt-server-'));
  clock = new FakeClock();
  node = new FakeNode();
  served = [];
  lines = [];
  waits = new Map();
  server = CniServer.listen({
    most: 256,
    path: join(directory, 'run/cni.sock'),
    node,
    clock,
    log: createLogger('info', { write: (line: string) => lines.push(JSON.parse(line)) }),
    waitFor: (env) => waits.get(env['CNI_CONTAINERID'] ?? '')?.promise,
    onServed: (...what) => served.push(what),
  });
});
afterEach(() => {
  server.close();
  rmSync(directory, { recursive: true });
});

function connect(): { socket: Socket; closed: Promise<string> } {
  const socket = createConnection(join(directory, 'run/cni.sock'));
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(Buffer.from(chunk)));
  socket.on('error', () => undefined);
  const closed = new Promise<string>((resolve) => {
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
  });
  return { socket, closed };
}

function request(records: Readonly<Record<string, string>>): Buffer {
  const payload = Buffer.concat(
    Object.entries(records).flatMap(([key, value]) => {
      const lengths = Buffer.alloc(8);
      lengths.writeUInt32BE(key.length);
      lengths.writeUInt32BE(value.length, 4);
      return [lengths, Buffer.from(key), Buffer.from(value)];
    }),
  );
  const header = Buffer.from('WFT1\0\0\0\0', 'latin1');
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

describe('the agent side of the shim', () => {
  test('answers one request and closes', async () => {
    const { socket, closed } = connect();
    socket.write(request({ 'env.CNI_COMMAND': 'VERSION', stdin: '' }));
    expect(await closed).toMatch(/^WFT1.{12}\{"cniVersion":"1.1.0".*\n$/s);
  });

  test('a request in many pieces is one request', async () => {
    const { socket, closed } = connect();
    for (const byte of request({ 'env.CNI_COMMAND': 'VERSION' })) {
      await new Promise((resolve) => socket.write(Buffer.from([byte]), resolve));
    }
    expect(await closed).toContain('supportedVersions');
  });

  test('ADD without a descriptor is code 8 with the reason of the shim', async () => {
    const { socket, closed } = connect();
    const stdin = '{"cniVersion":"1.0.0","name":"net"}';
    socket.write(
      request({
        'env.CNI_COMMAND': 'ADD',
        'env.CNI_CONTAINERID': 'pod-1',
        'env.CNI_NETNS': '/run/netns/x',
        'env.CNI_IFNAME': 'eth0',
        'env.CNI_PATH': '/opt/cni/bin',
        'netns-error': 'Permission denied',
        stdin,
      }),
    );
    const answer = await closed;
    expect(JSON.parse(answer.slice(16))).toMatchObject({
      code: 8,
      msg: 'invalid CNI_NETNS: failed to open netns "/run/netns/x": Permission denied',
    });
  });

  describe('a call that has to wait', () => {
    const versionOf = (container: string) =>
      request({ 'env.CNI_COMMAND': 'VERSION', 'env.CNI_CONTAINERID': container, stdin: '' });

    test('is served afterwards, others before it', async () => {
      const wait = Promise.withResolvers<void>();
      waits.set('slow', wait);
      const slow = connect();
      slow.socket.write(versionOf('slow'));
      const other = connect();
      other.socket.write(versionOf('other'));
      await other.closed;
      expect(served).toHaveLength(1);
      wait.resolve();
      expect(await slow.closed).toContain('supportedVersions');
    });

    test('is not served when its caller has gone meanwhile', async () => {
      const wait = Promise.withResolvers<void>();
      waits.set('slow', wait);
      const slow = connect();
      await new Promise((resolve) => slow.socket.write(versionOf('slow'), resolve));
      await new Promise((resolve) => setTimeout(resolve, 30));
      slow.socket.destroy();
      await slow.closed;
      await new Promise((resolve) => setTimeout(resolve, 30));
      wait.resolve();
      await new Promise((resolve) => setTimeout(resolve, 30));
      expect(served).toEqual([]);
    });
  });

  test('a foreign frame is answered with an error', async () => {
    const { socket, closed } = connect();
    socket.write('GET / HTTP/1.1\r\n\r\n');
    expect(await closed).toContain('"code": 6');
  });

  test('a connection without a whole request is closed after 5 s', async () => {
    const { socket, closed } = connect();
    await new Promise((resolve) => socket.write('WFT1', resolve));
    await new Promise((resolve) => setTimeout(resolve, 50));
    clock.advance(4999);
    expect(socket.readyState).toBe('open');
    clock.advance(1);
    expect(await closed).toBe('');
  });
});

/** Environment and stdin of a call that needs no namespace. */
function records(command: string, config: object, change: object = {}): Record<string, string> {
  return {
    'env.CNI_COMMAND': command,
    'env.CNI_CONTAINERID': 'pod-1',
    'env.CNI_IFNAME': 'eth0',
    'env.CNI_PATH': '/opt/cni/bin',
    stdin: JSON.stringify({ cniVersion: '1.1.0', name: 'net', ...config }),
    ...change,
  };
}

describe('what is told about a call', () => {
  const args = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_UID=u-1';
  const ipam = { type: 'host-local', subnet: '10.1.2.0/24' };

  test('one line with who, what and how long, and the trace it belongs to', async () => {
    const { socket, closed } = connect();
    socket.write(
      request(
        records(
          'ADD',
          { type: 'bridge', ipam },
          {
            'env.WEFT_ARGV0': 'host-local',
            'env.CNI_NETNS': '/run/netns/x',
            'env.CNI_ARGS': args,
            'env.TRACEPARENT': '00-ab-cd-01',
          },
        ),
      ),
    );
    await closed;
    expect(lines).toEqual([
      expect.objectContaining({
        msg: 'cni request served',
        verb: 'ADD',
        plugin: 'host-local',
        network: 'net',
        containerId: 'pod-1',
        ifName: 'eth0',
        podNamespace: 'default',
        pod: 'web',
        podUid: 'u-1',
        ips: ['10.1.2.2/24'],
        elapsedMs: expect.any(Number),
        traceparent: '00-ab-cd-01',
      }),
    ]);
    expect(served).toEqual([['ADD', 0, expect.any(Number)]]);
  });

  test('a failure has its code and text', async () => {
    const { socket, closed } = connect();
    socket.write(request(records('ADD', {}, { 'netns-error': 'gone', 'env.CNI_NETNS': '/x' })));
    await closed;
    expect(lines).toEqual([
      expect.objectContaining({
        msg: 'cni request failed',
        level: 'error',
        errorCode: 8,
        error: 'invalid CNI_NETNS: failed to open netns "/x": gone',
      }),
    ]);
    expect(served).toEqual([['ADD', 8, expect.any(Number)]]);
  });

  test.each(['VERSION', 'NOPE', ''])('verb %j is counted as other', async (command) => {
    const { socket, closed } = connect();
    socket.write(request(records(command, {})));
    await closed;
    expect(served.map(([verb]) => verb)).toEqual(['other']);
  });
});

describe('several calls', () => {
  test('one whose shim has gone by then makes nothing', async () => {
    const ipam = { type: 'host-local', subnet: '10.1.2.0/24' };
    const add = { 'env.WEFT_ARGV0': 'host-local', 'env.CNI_NETNS': '/run/netns/x' };
    const { socket, closed } = connect();
    socket.write(request(records('ADD', { type: 'bridge', ipam }, add)), () => socket.destroy());
    await closed;
    await until('it is served', () => lines.length > 0);
    expect(lines).toMatchObject([{ verb: 'ADD', errorCode: 11 }]);
    expect(node.reservations.size).toBe(0);
  });

  test('what arrived together is served together', async () => {
    let batches = 0;
    const { openRtnl } = node.kernel;
    Object.assign(node.kernel, {
      openRtnl: (...args: Parameters<typeof openRtnl>) => {
        const rtnl = openRtnl(...args);
        const deleteLinks: typeof rtnl.deleteLinks = (links) => {
          batches += 1;
          rtnl.deleteLinks(links);
        };
        return { ...rtnl, deleteLinks };
      },
    });
    const clients = Array.from({ length: 5 }, () => connect());
    await Promise.all(clients.map(({ socket }) => once(socket, 'connect')));
    for (const [index, { socket }] of clients.entries()) {
      const id = { 'env.CNI_CONTAINERID': `pod-${index}` };
      socket.write(request(records('DEL', {}, id)));
    }
    const answers = await Promise.all(clients.map(({ closed }) => closed));
    expect(new Set(answers)).toEqual(new Set(['WFT1\0\0\0\x08\0\0\0\0\0\0\0\0']));
    expect([served.length, batches]).toEqual([5, 1]);
  });

  test('a call for another IPAM plugin is left to the standalone', async () => {
    const { socket, closed } = connect();
    socket.write(request(records('DEL', { ipam: { type: 'dhcp' } })));
    const answer = Buffer.from(await closed, 'latin1');
    expect([answer.readUInt32BE(8), answer.length]).toEqual([RUN_STANDALONE, 16]);
    expect(lines).toEqual([
      expect.objectContaining({ msg: 'cni request left to the standalone', verb: 'DEL' }),
    ]);
  });
});
