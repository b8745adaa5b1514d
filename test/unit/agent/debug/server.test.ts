import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { askAgent } from '../../../../src/agent/debug/client.ts';
import { debugSocketPath, MOST_REQUEST_BYTES } from '../../../../src/agent/debug/protocol.ts';
import { DebugServer } from '../../../../src/agent/debug/server.ts';
import { parseAsked } from '../../../../src/agent/questions.ts';
import { WeftError } from '../../../../src/util/errors.ts';
import { createLogger } from '../../../../src/util/log.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

let directory: string;
let clock: FakeClock;
let server: DebugServer;
let logged: string[];
let answer: (signal: AbortSignal) => Promise<unknown>;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wt-debug-'));
  clock = new FakeClock();
  logged = [];
  answer = () => Promise.resolve(['nothing']);
  server = DebugServer.listen({
    most: 64,
    path: debugSocketPath(directory),
    clock,
    log: createLogger('info', { write: (line) => void logged.push(line) }),
    answer: async (line, signal) => {
      parseAsked(line);
      return answer(signal);
    },
  });
});

afterEach(() => {
  server.close();
  rmSync(directory, { recursive: true });
});

/** Sends bytes and gives everything that came back until the server closed. */
function send(bytes: string): Promise<string> {
  const socket = createConnection(debugSocketPath(directory));
  socket.write(bytes);
  return read(socket);
}

function read(socket: ReturnType<typeof createConnection>): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  socket.on('error', () => undefined);
  return new Promise((resolve) => socket.on('close', () => resolve(text)));
}

const diff = { command: 'diff' } as const;

test('only root can reach it', () => {
  expect(statSync(debugSocketPath(directory)).mode & 0o777).toBe(0o600);
});

test('a question and its answer', async () => {
  expect(await askAgent(directory, diff)).toEqual(['nothing']);
});

test('an answer larger than the socket takes at once', async () => {
  const large = 'x'.repeat(3_000_000);
  answer = () => Promise.resolve(large);
  expect(await askAgent(directory, diff)).toBe(large);
});

test('what the asker got wrong is no warning, what failed is one', async () => {
  answer = () => Promise.reject(new WeftError('ENOENT', 'no Service web'));
  await expect(askAgent(directory, diff)).rejects.toThrow('no Service web');
  expect(logged).toEqual([]);
  answer = () => Promise.reject(Object.assign(new Error('open'), { code: 'ENOENT' }));
  await expect(askAgent(directory, diff)).rejects.toThrow('open');
  expect(logged.map((line) => JSON.parse(line).msg)).toEqual(['debug request failed']);
});

test('a failure keeps its code and its words', async () => {
  answer = () => Promise.reject(new WeftError('EAGAIN', 'not yet'));
  await expect(askAgent(directory, diff)).rejects.toMatchObject({
    code: 'EAGAIN',
    message: 'not yet',
  });
});

test('what is no request is refused', async () => {
  expect(await send('{"command":"reboot"}\n')).toContain('"code":"EINVAL"');
});

test('a request without an end is cut off', async () => {
  expect(await send('x'.repeat(MOST_REQUEST_BYTES + 1))).toContain('"code":"EMSGSIZE"');
});

test('who says nothing is not waited for', async () => {
  const socket = createConnection(debugSocketPath(directory));
  let text: string | undefined;
  void read(socket).then((all) => {
    text = all;
  });
  await expect
    .poll(() => {
      clock.advance(2_000);
      return text;
    })
    .toBe('');
});

test('the ninth at once is turned away', async () => {
  const release = Promise.withResolvers<void>();
  answer = () => release.promise.then(() => 'late');
  const waiting = Array.from({ length: 8 }, () => askAgent(directory, diff));
  await expect.poll(() => askAgent(directory, diff).catch(String)).toContain('at once');
  release.resolve();
  expect(await Promise.all(waiting)).toEqual(Array(8).fill('late'));
});

test('work ends when nobody waits for it', async () => {
  const aborted = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  answer = (signal) => {
    signal.addEventListener('abort', () => aborted.resolve());
    asked.resolve();
    return aborted.promise;
  };
  const socket = createConnection(debugSocketPath(directory));
  socket.write('{"command":"diff"}\n');
  await asked.promise;
  socket.destroy();
  await aborted.promise;
});

test('without an agent the cure is named', async () => {
  await expect(askAgent(join(directory, 'other'), diff)).rejects.toThrow(
    /start weft agent, or name its --run-dir/,
  );
});
