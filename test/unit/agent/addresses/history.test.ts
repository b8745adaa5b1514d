import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AddressHistory } from '../../../../src/agent/addresses/history.ts';
import { AddressLogFile, readAddressLog } from '../../../../src/agent/addresses/log-file.ts';
import { readLogSteps } from '../../../../src/agent/addresses/log-lines.ts';
import type { AttachmentEntry } from '../../../../src/cni/attachment-records.ts';
import { openRecords } from '../../../../src/cni/upkeep/records.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { createLogger } from '../../../../src/util/log.ts';
import { takeAtOnce } from '../../../../src/util/turns.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

let runDir: string;
let clock: FakeClock;
let startMs: number;
beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'wt-addresses-'));
  clock = new FakeClock();
  startMs = clock.now();
});
afterEach(() => rmSync(runDir, { recursive: true }));

const recordsOf = (boot = 'one') =>
  openRecords(join(runDir, 'attachments'), { bootId: () => boot, now: () => clock.now() });

function start(lines: string[] = []) {
  const records = recordsOf();
  const log = createLogger('info', { write: (line) => void lines.push(line) });
  const history = AddressHistory.start({ records, bootId: () => 'one', runDir, clock, log });
  return { history, records, observed: history.observe(records) };
}

const entry = (container: string, pod: string, ip: string): AttachmentEntry => ({
  attachment: { network: 'net', containerId: container, ifName: 'eth0' },
  netns: { path: '/run/netns/x', id: 'n' },
  pod: pod === '' ? {} : { podNamespace: 'shop', podName: pod },
  addresses: [parseIP(ip)],
});

/** `ip pod from-to`, in seconds since the start; `?` behind a late end. */
const past = () =>
  takeAtOnce(readLogSteps(readAddressLog(runDir))).past.map(
    ({ addresses, pod, sinceMs, untilMs, isLate }) =>
      `${addresses} ${pod} ${(sinceMs - startMs) / 1000}-${(untilMs - startMs) / 1000}${isLate ? '?' : ''}`,
  );

test('an address is remembered with its pod and its times, a second later and at the end', async () => {
  const { history, observed } = start();
  observed.write(entry('a', 'web', '10.0.0.1'));
  clock.advance(5_000);
  observed.remove(entry('a', 'web', '10.0.0.1').attachment);
  expect(past()).toEqual([]);
  clock.advance(1_000);
  expect(past()).toEqual(['10.0.0.1 shop/web 0-5']);
  observed.write(entry('b', '', '10.0.0.1'));
  observed.remove(entry('b', '', '10.0.0.1').attachment);
  await history.close();
  expect(past()[1]).toBe('10.0.0.1 undefined 6-6');
  expect(statSync(join(runDir, 'addresses.log')).mode & 0o777).toBe(0o600);
});

test('what went while no agent ran is found, and said to be late', async () => {
  const first = start();
  first.observed.write(entry('a', 'web', '10.0.0.1'));
  first.observed.write(entry('b', 'db', '10.0.0.2'));
  await first.history.close();
  first.records.remove(entry('a', 'web', '10.0.0.1').attachment);
  clock.advance(9_000);
  const second = start();
  clock.advance(1_000);
  expect(past()).toEqual(['10.0.0.1 shop/web 0-9?']);
  second.observed.remove(entry('b', 'db', '10.0.0.2').attachment);
  await second.history.close();
  expect(past()[1]).toBe('10.0.0.2 shop/db 0-10');
});

test('what another process wrote is found at the next look; records of another boot are not', () => {
  const { history, records, observed } = start();
  records.write(entry('a', 'web', '10.0.0.1'));
  recordsOf('earlier').write(entry('old', 'web', '10.0.0.9'));
  clock.advance(2_000);
  history.look();
  clock.advance(1_000);
  observed.remove(entry('a', 'web', '10.0.0.1').attachment);
  observed.remove(entry('old', 'web', '10.0.0.9').attachment);
  clock.advance(1_000);
  expect(past()).toEqual(['10.0.0.1 shop/web 0-3']);
});

test('half a line of a crash costs that line alone', async () => {
  const first = start();
  first.observed.write(entry('a', 'web', '10.0.0.1'));
  await first.history.close();
  appendFileSync(join(runDir, 'addresses.log'), '{"network":"net","cont');
  const second = start();
  second.observed.remove(entry('a', 'web', '10.0.0.1').attachment);
  await second.history.close();
  expect(past()).toEqual(['10.0.0.1 shop/web 0-0']);
});

test('a log that cannot be written is told once, and ADDs go on', () => {
  mkdirSync(join(runDir, 'addresses.log'));
  const lines: string[] = [];
  const { observed, records } = start(lines);
  for (const container of ['a', 'b']) {
    observed.write(entry(container, 'web', '10.0.0.1'));
    clock.advance(1_000);
  }
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { level: 'warn', reason: expect.stringContaining('EISDIR') },
  ]);
  expect(records.keys()).toHaveLength(2);
});

test('the log is bounded: a full file begins anew with what is held', () => {
  const file = new AddressLogFile(runDir, 100);
  for (let i = 0; i < 50; i++) file.append(`${String(i).padStart(9, '.')}\n`, () => 'carried\n');
  const text = readAddressLog(runDir);
  expect(text.length).toBeLessThanOrEqual(230);
  expect(text.split('\n').slice(-3, -1)).toEqual(['.......48', '.......49']);
  expect(readFileSync(join(runDir, 'addresses.log'), 'utf8').startsWith('carried\n')).toBe(true);
});
