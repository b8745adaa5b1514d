import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openSupervisor } from '../../../src/agent/supervisor.ts';
import { wire } from '../../../src/netlink/wire.ts';
import { createLogger } from '../../../src/util/log.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { until } from '../../support/until.ts';

function supervised(environment: Record<string, string>, send?: (path: string) => void) {
  const clock = new FakeClock();
  const told: string[] = [];
  const lines: string[] = [];
  const log = createLogger('info', { write: (line: string) => void lines.push(line) });
  const record = (path: string, text: string) => {
    send?.(path);
    told.push(`${path} ${text}`);
  };
  const supervisor = openSupervisor(environment, { pid: 7, clock, log, send: record });
  return { supervisor, clock, told, lines };
}

test('systemd hears of the start, of a loop that turns, and of the end', () => {
  const environment = { NOTIFY_SOCKET: '@s', WATCHDOG_USEC: '30000000', WATCHDOG_PID: '7' };
  const { supervisor, clock, told } = supervised(environment);
  // No program that the agent runs inherits them.
  expect(environment).toEqual({});
  expect(told).toEqual([]);
  supervisor.ready();
  clock.advance(30_000);
  supervisor.close();
  clock.advance(60_000);
  const alive = '@s WATCHDOG=1';
  expect(told).toEqual(['@s READY=1', alive, alive, alive, '@s STOPPING=1']);
});

test.each([
  [{}, []],
  [{ NOTIFY_SOCKET: '/s' }, ['/s READY=1', '/s STOPPING=1']],
  [
    { NOTIFY_SOCKET: '/s', WATCHDOG_USEC: '1000', WATCHDOG_PID: '8' },
    ['/s READY=1', '/s STOPPING=1'],
  ],
])('with %j it hears %j', (environment, want) => {
  const { supervisor, clock, told } = supervised({ ...environment });
  supervisor.ready();
  clock.advance(1_000);
  supervisor.close();
  expect(told).toEqual(want);
});

test('a socket that is gone costs one line', () => {
  const fail = () => {
    throw new Error('sendto /s: ENOENT');
  };
  const { supervisor, clock, lines } = supervised(
    { NOTIFY_SOCKET: '/s', WATCHDOG_USEC: '2000' },
    fail,
  );
  supervisor.ready();
  clock.advance(10);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('ENOENT');
});

// Perl is part of every Debian; Node has no such sockets.
const RECEIVER = `use Socket; $| = 1; socket(S, PF_UNIX, SOCK_DGRAM, 0); bind(S, sockaddr_un($ARGV[0]));
print "bound\\n"; for (1, 2) { recv(S, $text, 100, 0); print "$text\\n" }`;

test.each(['file system', 'abstract'])('datagrams arrive at a socket: %s', async (kind) => {
  const directory = mkdtempSync(join(tmpdir(), 'weft-notify-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const isAbstract = kind === 'abstract';
  const path = isAbstract ? `@${directory}` : join(directory, 'socket');
  const bound = isAbstract ? '"\\0".' : '';
  const script = RECEIVER.replace('$ARGV[0]', `${bound}$ARGV[0]`);
  const receiver = spawn('perl', ['-e', script, isAbstract ? directory : path]);
  onTestFinished(() => void receiver.kill());
  let output = '';
  receiver.stdout.on('data', (chunk) => {
    output += chunk;
  });
  await until('the receiver is there', () => output.includes('bound'));
  wire.sendUnixDatagram(path, 'READY=1');
  wire.sendUnixDatagram(path, 'WATCHDOG=1');
  await until('both have come', () => output === 'bound\nREADY=1\nWATCHDOG=1\n');
  expect(() => wire.sendUnixDatagram(join(directory, 'none'), '')).toThrow('ENOENT');
});
