import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LocalPods } from '../../../../src/agent/policy/local-pods.ts';
import type { AttachmentEntry } from '../../../../src/cni/attachment-records.ts';
import { openRecords } from '../../../../src/cni/upkeep/records.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import type { LocalPod } from '../../../../src/policy/change.ts';

let directory: string;
let nowMs: number;
let told: (readonly [string, LocalPod | undefined])[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wt-local-pods-'));
  nowMs = 1_000;
  told = [];
});
afterEach(() => rmSync(directory, { recursive: true }));

const recordsOf = (boot: string) =>
  openRecords(directory, { bootId: () => boot, now: () => nowMs++ });

function lab(boot = 'one') {
  const records = recordsOf(boot);
  const pods = new LocalPods({ records, bootId: () => boot });
  pods.follow((key, now) => told.push([key, now]));
  return { pods, records, observed: pods.observe(records) };
}

const entry = (containerId: string, uid: string, ip: string, pod = 'web'): AttachmentEntry => ({
  attachment: { network: 'net', containerId, ifName: 'eth0' },
  netns: { path: '/run/netns/x', id: 'n' },
  pod: { podNamespace: 'shop', podName: pod, podUid: uid },
  addresses: [parseIP(ip)],
});
const web = (uid: string, ...ips: readonly string[]) => ['shop/web', { key: 'shop/web', uid, ips }];

test('pods are those on record, as this process writes and removes them', () => {
  const { pods, observed } = lab();
  observed.write(entry('a', 'u1', '10.0.0.1'));
  observed.remove(entry('a', 'u1', '10.0.0.1').attachment);
  observed.remove(entry('a', 'u1', '10.0.0.1').attachment);
  expect(told).toEqual([web('u1', '10.0.0.1'), ['shop/web', undefined]]);
  expect(pods.size).toBe(0);
});

test('of two sandboxes by one name both addresses count, and the later uid', () => {
  const { pods, observed } = lab();
  observed.write(entry('old', 'u1', '10.0.0.1'));
  observed.write(entry('new', 'u2', '10.0.0.2'));
  observed.remove(entry('old', 'u1', '10.0.0.1').attachment);
  expect(told.slice(1)).toEqual([web('u2', '10.0.0.1', '10.0.0.2'), web('u2', '10.0.0.2')]);
  expect(pods.get('shop/web')?.ips).toEqual(['10.0.0.2']);
});

test('what other processes have written is found, in the order in which it was written', () => {
  const { pods, records } = lab();
  records.write(entry('z', 'u1', '10.0.0.1'));
  records.write(entry('a', 'u2', '10.0.0.2'));
  pods.read();
  pods.read();
  expect(told).toEqual([web('u2', '10.0.0.1', '10.0.0.2')]);
  records.remove(entry('z', 'u1', '10.0.0.1').attachment);
  pods.read();
  expect(told.slice(1)).toEqual([web('u2', '10.0.0.2')]);
});

test('records of another boot, and attachments of no pod, are nobody', () => {
  recordsOf('earlier').write(entry('a', 'u1', '10.0.0.1'));
  const { pods, observed } = lab();
  observed.write({ ...entry('b', 'u1', '10.0.0.2'), pod: {} });
  pods.read();
  expect(told).toEqual([]);
});

test('who follows later is told of those that there are', () => {
  const { pods, observed } = lab();
  observed.write(entry('a', 'u1', '10.0.0.1'));
  take();
  pods.follow((key, now) => told.push([key, now]));
  expect(told).toEqual([web('u1', '10.0.0.1')]);
});

function take(): void {
  told.splice(0);
}

test('addresses of several pods are told with them, as long as they are', () => {
  const { pods, observed } = lab();
  const address = parseIP('10.0.0.1');
  observed.write(entry('a', 'u1', address));
  // Another sandbox by the same name is the same pod.
  observed.write(entry('b', 'u2', address));
  expect([pods.shared(), pods.rivalOf('shop/web', [address])]).toEqual([[], undefined]);
  observed.write(entry('c', 'u3', address, 'db'));
  expect(pods.shared()).toEqual([{ address, pods: ['shop/db', 'shop/web'] }]);
  expect(pods.rivalOf('shop/db', [parseIP('10.0.0.9'), address])).toBe('shop/web');
  observed.remove(entry('a', 'u1', address).attachment);
  expect(pods.shared()).toHaveLength(1);
  observed.remove(entry('b', 'u2', address).attachment);
  expect([pods.shared(), pods.rivalOf('shop/db', [address])]).toEqual([[], undefined]);
});
