import { execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLevelledLogger } from '../../../src/util/log.ts';
import { LogSink } from '../../../src/util/log-sink.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const PIPE_BYTES = 65_536;
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weft-log-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A pipe whose reader reads only when told to. */
function openPipe() {
  const path = join(directory, 'pipe');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY);
  const readAll = () => {
    const chunk = Buffer.alloc(PIPE_BYTES);
    let text = '';
    try {
      for (;;) {
        const length = readSync(reader, chunk);
        if (length === 0) return text;
        text += chunk.toString('latin1', 0, length);
      }
    } catch {
      return text;
    }
  };
  return { writer, readAll, closeReader: () => closeSync(reader) };
}

const line = (index: number) => `${String(index).padStart(999, '.')}\n`;

describe('LogSink', () => {
  test('a reader that keeps up gets every line at once', () => {
    const { writer, readAll } = openPipe();
    const sink = new LogSink(writer, { clock: new FakeClock() });
    for (let index = 0; index < 10; index++) sink.write(line(index));
    expect([readAll(), sink.dropped]).toEqual([
      Array.from({ length: 10 }, (_, index) => line(index)).join(''),
      0,
    ]);
  });

  test('lines wait for a slow reader, whole and in order', () => {
    const clock = new FakeClock();
    const { writer, readAll } = openPipe();
    const sink = new LogSink(writer, { clock });
    const count = 300;
    for (let index = 0; index < count; index++) sink.write(line(index));
    let text = '';
    for (let round = 0; round < 20; round++) {
      text += readAll();
      clock.advance(100);
    }
    expect([text, sink.dropped]).toEqual([
      Array.from({ length: count }, (_, index) => line(index)).join(''),
      0,
    ]);
  });

  test('what does not fit is counted, and told once somebody reads again', () => {
    const clock = new FakeClock();
    const { writer, readAll } = openPipe();
    const sink = new LogSink(writer, { clock, maxWaitingBytes: 10_000 });
    for (let index = 0; index < 500; index++) sink.write(line(index));
    const { dropped } = sink;
    let text = '';
    for (let round = 0; round < 5; round++) {
      text += readAll();
      clock.advance(100);
    }
    const lines = text.trimEnd().split('\n');
    const kept = lines.slice(0, -1);
    expect(dropped).toBeGreaterThan(400);
    expect([kept.length + dropped, kept.every((text, at) => `${text}\n` === line(at))]).toEqual([
      500,
      true,
    ]);
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({
      level: 'warn',
      lines: dropped,
      msg: 'log lines dropped',
    });
    expect(sink.dropped).toBe(dropped);
  });

  test('a reader that is gone costs lines, not the process', () => {
    const { writer, closeReader } = openPipe();
    const sink = new LogSink(writer, { clock: new FakeClock() });
    closeReader();
    sink.write('one\n');
    sink.write('two\n');
    expect(sink.dropped).toBe(2);
  });

  test('a file gets everything', () => {
    const path = join(directory, 'file');
    const sink = new LogSink(openSync(path, 'a'), { clock: new FakeClock() });
    sink.write('one\n');
    sink.write('two\n');
    expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n');
  });

  test('flush gives up on a reader that never comes', () => {
    const { writer } = openPipe();
    const sink = new LogSink(writer, { clock: new FakeClock() });
    for (let index = 0; index < 100; index++) sink.write(line(index));
    const before = performance.now();
    sink.flush();
    expect(performance.now() - before).toBeLessThan(2_000);
  });
});

const CHATTERBOX = `
import { createLogger } from '${join(import.meta.dirname, '../../../src/util/log.ts')}';
const log = createLogger('info');
for (let index = 0; index < 20_000; index++) log.info({ index, text: 'x'.repeat(200) }, 'line');
process.stdout.write('still here');
`;

test('the last lines are kept, so many that they are some 256 KB', () => {
  const sink = new LogSink(openSync('/dev/null', 'w'));
  const line = (i: number) => `${String(i).padStart(9)}${'x'.repeat(90)}\n`;
  for (let i = 0; i < 10_000; i++) {
    sink.write(line(i));
    expect(sink.recent.at(-1)).toBe(line(i));
  }
  const { recent } = sink;
  expect(recent.join('').length).toBeLessThanOrEqual(256 * 1024);
  expect(recent.length).toBeGreaterThan(600);
  expect(recent).toEqual(recent.map((_, i) => line(10_000 - recent.length + i)));
  sink.write('y'.repeat(1 << 20));
  expect(sink.recent).toHaveLength(1);
});

describe('a process whose standard error nobody reads', () => {
  /** Runs it to its end; Node makes a socket of `'pipe'`. */
  async function chatter(stderr: number | 'pipe') {
    const command = ['--input-type=module', '-e', CHATTERBOX];
    const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', stderr] });
    child.stderr?.pause();
    let out = '';
    child.stdout?.on('data', (chunk) => {
      out += chunk;
    });
    const code = await new Promise((resolve) => child.once('exit', resolve));
    child.stderr?.destroy();
    return { code, out };
  }

  test('goes on, behind a pipe', async () => {
    expect(await chatter(openPipe().writer)).toEqual({ code: 0, out: 'still here' });
  }, 20_000);

  test('goes on, behind a socket', async () => {
    expect(await chatter('pipe')).toEqual({ code: 0, out: 'still here' });
  }, 20_000);
});

test('a new level reaches the children that are there and those to come', () => {
  const lines: string[] = [];
  const { log, setLevel } = createLevelledLogger('warn', {
    write: (text: string) => void lines.push(JSON.parse(text).msg),
  });
  const child = log.child({ component: 'proxy' }).child({ family: 4 });
  child.debug('before');
  setLevel('debug');
  child.debug('grandchild');
  log.child({}).debug('new child');
  setLevel('error');
  child.warn('after');
  expect(lines).toEqual(['grandchild', 'new child']);
});
