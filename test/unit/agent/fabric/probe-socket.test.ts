import { createSocket } from 'node:dgram';
import { afterEach, expect, test } from 'vitest';
import { openProbeSocket } from '../../../../src/agent/fabric/probe-socket.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { until } from '../../../support/until.ts';

const LOCALHOST = '127.0.0.1';
const sender = () => createSocket('udp4');
const closing: (() => void)[] = [];

afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A port that nobody has at this moment. */
async function freePort(): Promise<number> {
  const socket = sender();
  await new Promise<void>((resolve) => socket.bind(0, LOCALHOST, resolve));
  const { port } = socket.address();
  socket.close();
  return port;
}

async function open() {
  const clock = new FakeClock();
  const port = await freePort();
  const opened = openProbeSocket(port, clock);
  let heard = 0;
  opened.socket.onMessage(() => {
    heard += 1;
  });
  const from = sender();
  closing.push(
    () => opened.socket.close(),
    () => from.close(),
  );
  const send = (count: number) =>
    Promise.all(
      Array.from({ length: count }, () => {
        return new Promise((resolve) => from.send('?', port, LOCALHOST, resolve));
      }),
    );
  return { ...opened, clock, port, send, heard: () => heard };
}

test('of a flood so many are heard in a second and not more, and later ones are heard again', async () => {
  const { send, heard, problems, clock, isOpen, port } = await open();
  await until('the socket is open', async () => {
    await send(1);
    return heard() > 0;
  });
  clock.advance(1_000);
  const before = heard();
  await until('it is too much', async () => {
    await send(100);
    return problems().length > 0;
  });
  for (let i = 0; i < 20; i++) await send(100);
  expect(heard() - before).toBeLessThanOrEqual(4_000);
  expect(problems().join()).toContain(
    `more than 4000 packets arrive in a second at UDP port ${port}`,
  );
  expect(isOpen()).toBe(true);
  const atRest = heard();
  clock.advance(1_000);
  await until('it is heard again', async () => {
    await send(1);
    return heard() > atRest;
  });
  clock.advance(1_000);
  expect(problems()).toEqual([]);
});

test('a port of another program is told, and taken once it is free', async () => {
  const other = sender();
  await new Promise<void>((resolve) => other.bind(0, LOCALHOST, resolve));
  const clock = new FakeClock();
  const { isOpen, problems, socket } = openProbeSocket(other.address().port, clock);
  closing.push(() => socket.close());
  await until('it is not ours', () => !isOpen());
  expect(problems().join()).toMatch(/paths are not probed by IPv4: .*EADDRINUSE.*free the port/);
  await new Promise<void>((resolve) => other.close(resolve));
  clock.advance(1_000);
  await until('it is ours', () => isOpen());
});
