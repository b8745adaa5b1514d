import { EventEmitter } from 'node:events';
import { describe, expect, test } from 'vitest';
import { Lifecycle } from '../../../src/agent/lifecycle.ts';
import { createLogger } from '../../../src/util/log.ts';
import { FakeClock } from '../../support/fake-clock.ts';

function setUp(deadlineMs?: number) {
  const logs: string[] = [];
  const exits: number[] = [];
  const emitter = new EventEmitter();
  const clock = new FakeClock();
  const lifecycle = new Lifecycle({
    process: Object.assign(emitter, { exit: (code: number) => void exits.push(code) }),
    clock,
    log: createLogger('info', { write: (line: string) => void logs.push(line) }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
  });
  const messages = () => logs.map((line) => String(JSON.parse(line).msg));
  return { lifecycle, emitter, clock, exits, messages };
}

describe('shutdown', () => {
  test.each(['SIGTERM', 'SIGINT'])(
    '%s aborts, closes in reverse order and finishes',
    async (name) => {
      const { lifecycle, emitter, exits } = setUp();
      const order: string[] = [];
      lifecycle.signal.addEventListener('abort', () => order.push('abort'));
      lifecycle.onShutdown('first', () => void order.push('first'));
      lifecycle.onShutdown('second', async () => {
        await Promise.resolve();
        order.push('second');
      });
      emitter.emit(name);
      expect([await lifecycle.finished, order, exits]).toEqual([
        0,
        ['abort', 'second', 'first'],
        [],
      ]);
      expect(emitter.eventNames()).toEqual([]);
    },
  );

  test('a closer that fails changes the code and keeps nobody from closing', async () => {
    const { lifecycle, messages } = setUp();
    let isClosed = false;
    lifecycle.onShutdown('last', () => {
      isClosed = true;
    });
    lifecycle.onShutdown('bad', () => Promise.reject(new Error('no')));
    lifecycle.shutdown('test');
    expect([await lifecycle.finished, isClosed]).toEqual([1, true]);
    expect(messages()).toContain('close failed');
  });

  test('a closer that hangs is left behind at the deadline', async () => {
    const { lifecycle, clock, messages } = setUp(3_000);
    lifecycle.onShutdown('hangs', () => new Promise(() => undefined));
    lifecycle.shutdown('test');
    clock.advance(3_000);
    expect(await lifecycle.finished).toBe(1);
    expect(messages()).toContain('shutdown deadline passed');
  });

  test('a second signal exits at once', () => {
    const { lifecycle, emitter, exits } = setUp();
    lifecycle.onShutdown('hangs', () => new Promise(() => undefined));
    emitter.emit('SIGTERM');
    emitter.emit('SIGTERM');
    expect(exits).toEqual([1]);
  });

  test('the code of the first call counts', async () => {
    const { lifecycle } = setUp();
    lifecycle.shutdown('configuration changed', 3);
    lifecycle.shutdown('again', 4);
    expect(await lifecycle.finished).toBe(3);
  });
});

describe('abort tree', () => {
  test('children fall with the root', () => {
    const { lifecycle } = setUp();
    const child = lifecycle.child();
    lifecycle.shutdown('test');
    expect([child.signal.aborted, lifecycle.child().signal.aborted]).toEqual([true, true]);
  });

  test('the root survives its children', () => {
    const { lifecycle } = setUp();
    lifecycle.child().abort();
    expect(lifecycle.signal.aborted).toBe(false);
  });
});

describe('fatal errors', () => {
  test.each(['uncaughtException', 'unhandledRejection'])(
    '%s exits with 1 and closes nothing',
    (event) => {
      const { lifecycle, emitter, exits, messages } = setUp();
      let isClosed = false;
      lifecycle.onShutdown('x', () => {
        isClosed = true;
      });
      emitter.emit(event, new Error('bug'));
      expect([exits, isClosed, messages()]).toEqual([[1], false, ['fatal error']]);
    },
  );
});
