/**
 * Every function of the addon, right and wrong, under ASan and UBSan: sockets in several
 * namespaces, big batches, events with overflow, descriptors over unix sockets, environment ends.
 * Ends with exit 0 only when nothing was reported and every expectation held.
 */

import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { encodeMessage, parseMessages } from '../../src/netlink/message.ts';
import { NETLINK_ROUTE } from '../../src/netlink/numbers.ts';
import { loadWire, type WatchHandle } from '../../src/netlink/wire.ts';
import { collectGarbage } from '../support/garbage.ts';
import { createNetns } from '../support/netns.ts';

const ADDON = new URL('../../native/build-sanitized/weft.node', import.meta.url).pathname;
const RTM_GETLINK = 18;
const RTMGRP_LINK = 1;
const NLM_F_REQUEST_ACK = 5;
const NLM_F_REQUEST_DUMP = 0x301;

// The programs started here are others' and not instrumented.
delete process.env['LD_PRELOAD'];

const wire = loadWire(ADDON);
const netns = createNetns('asan');
const directory = mkdtempSync(join(tmpdir(), 'weft-asan-'));
try {
  exchangesInNamespaces();
  await exchangesLater();
  reportsErrors();
  writesSysctlsInside();
  sendsFrames();
  await watchesAndOverflows();
  await passesDescriptors();
  await forgetsClosedWatches();
  locks();
  await survivesWorkers();
} finally {
  rmSync(directory, { recursive: true });
  netns.remove();
}
console.log('sanitized addon: 10 parts exercised, nothing reported');

function open(path: string): number {
  return openSync(path, 'r');
}

function exchangesInNamespaces(): void {
  const fd = open(netns.path);
  for (const inside of [-1, fd]) {
    const socket = wire.openNetlink(NETLINK_ROUTE, inside, 1 << 22, 1 << 22);
    const list = encodeMessage(RTM_GETLINK, NLM_F_REQUEST_DUMP, 1, Buffer.alloc(16));
    assert(wire.exchangeNetlink(socket.fd, list).flatMap(parseMessages).length >= 2);
    const many = Buffer.concat(
      Array.from({ length: 3000 }, (_, i) =>
        encodeMessage(RTM_GETLINK, NLM_F_REQUEST_ACK, i, Buffer.alloc(16)),
      ),
    );
    assert(wire.exchangeNetlink(socket.fd, many).length >= 3000);
    closeSync(socket.fd);
  }
  closeSync(fd);
}

function reportsErrors(): void {
  assert.throws(() => wire.openNetlink(9999, -1, 0, 0), { code: 'EPROTONOSUPPORT' });
  assert.throws(() => wire.openNetlink(NETLINK_ROUTE, 0x7ffffff, 0, 0), { code: 'EBADF' });
  assert.throws(() => wire.exchangeNetlink(-1, Buffer.alloc(4)), { code: 'EBADF' });
  assert.throws(() => wire.joinNetlinkGroup(-1, 1), { code: 'EBADF' });
  assert.throws(() => wire.inspectNamespace(-1), { code: 'EBADF' });
  assert.throws(() => wire.listenUnix('x'.repeat(500), 1), { code: 'ENAMETOOLONG' });
  assert.throws(() => new wire.Watch(-1, () => {}));
  const file = open('/proc/version');
  assert.equal(wire.inspectNamespace(file).nsType, 0);
  closeSync(file);
}

function writesSysctlsInside(): void {
  const fd = open(netns.path);
  wire.writeSysctl(fd, 'net/ipv4/ip_forward', '1');
  assert.equal(wire.readSysctl(fd, 'net/ipv4/ip_forward'), '1\n');
  assert.throws(() => wire.readSysctl(fd, 'net/none'), { code: 'ENOENT' });
  assert.throws(() => wire.writeSysctl(fd, 'net/ipv4/ip_forward', 'x'), { code: 'EINVAL' });
  closeSync(fd);
}

function sendsFrames(): void {
  const fd = open(netns.path);
  const loopback = 1;
  const frames = [60, 0, 1 << 20, 60].map((length) => Buffer.alloc(length, 0xff));
  const { EINVAL, EMSGSIZE, ENXIO } = constants.errno;
  assert.deepEqual(wire.sendFrames(fd, [loopback, loopback, loopback, 4242], frames), [
    ...[0, EINVAL, EMSGSIZE],
    ENXIO,
  ]);
  assert.throws(() => wire.sendFrames(0x7ffffff, [loopback], frames), { code: 'EBADF' });
  receivesFrames(fd, loopback);
  closeSync(fd);
}

/** What goes out by the loopback comes in by it. */
function receivesFrames(netnsFd: number, link: number): void {
  // A whole frame is let through; struct sock_filter of 8 bytes.
  const filter = Buffer.from('0600000000ffff00', 'hex');
  const type = 0x0806;
  const packet = wire.openPacket(netnsFd, link, type, filter);
  wire.joinEthernetGroup(packet, link, Buffer.from('3333ff000001', 'hex'));
  assert.throws(() => wire.joinEthernetGroup(packet, link, Buffer.alloc(5)), { code: 'EINVAL' });
  assert.throws(() => wire.openPacket(netnsFd, 4242, type, filter), { code: 'ENODEV' });
  for (const length of [0, 7, 33 * 8]) {
    const wrong = Buffer.alloc(length);
    assert.throws(() => wire.openPacket(netnsFd, link, type, wrong), { code: 'EINVAL' });
  }
  const frame = Buffer.alloc(600, 0xff);
  frame.writeUInt16BE(type, 12);
  wire.sendFrames(netnsFd, [link, link], [frame, frame.subarray(0, 60)]);
  const lengths = wire.receivePackets(packet, 64).map((bytes) => bytes.length);
  assert.deepEqual(lengths, [256, 60]);
  assert.deepEqual(wire.receivePackets(packet, 64), []);
  closeSync(packet);
  assert.throws(() => wire.receivePackets(packet, 1), { code: 'EBADF' });
}

async function watchesAndOverflows(): Promise<void> {
  const fd = open(netns.path);
  const socket = wire.openNetlink(NETLINK_ROUTE, fd, 0, 16384);
  wire.joinNetlinkGroup(socket.fd, RTMGRP_LINK);
  let events = 0;
  let hasOverflowed = false;
  const watch = new wire.Watch(socket.fd, () => {
    for (const datagram of wire.drainNetlink(socket.fd, 16)) {
      if (datagram === null) hasOverflowed = true;
      else events++;
    }
  });
  const flip = 'for i in $(seq 40); do ip link set lo down; ip link set lo up; done';
  netns.run('sh', '-c', flip);
  await sleep(50);
  assert(hasOverflowed, 'a small receive buffer must overflow');
  netns.run('ip', 'link', 'set', 'lo', 'down');
  await sleep(50);
  assert(events > 0);
  watch.close();
  watch.close();
  closeSync(socket.fd);
  closeSync(fd);
}

async function passesDescriptors(): Promise<void> {
  const path = join(directory, 'sock');
  const listener = wire.listenUnix(path, 16);
  assert.equal(wire.acceptUnix(listener), null);
  const sender = join(directory, 'send-descriptors');
  execFileSync('gcc', ['-o', sender, new URL('send-descriptors.c', import.meta.url).pathname]);
  execFileSync(sender, [path]);
  const peer = wire.acceptUnix(listener);
  assert(peer !== null && peer.uid === 0 && peer.pid > 0);
  const first = wire.receiveUnix(peer.fd);
  assert(first !== null && first.bytes.toString() === 'hello' && first.fds.length === 1);
  const second = wire.receiveUnix(peer.fd);
  assert(second?.isTruncated);
  for (const fd of [...first.fds, ...second.fds]) closeSync(fd);
  assert.equal(wire.isPeerGone(peer.fd), true);
  assert.equal(wire.receiveUnix(peer.fd)?.bytes.length, 0);
  assert.throws(() => wire.sendUnix(peer.fd, Buffer.from('x')), { code: 'EPIPE' });
  closeSync(peer.fd);
  const client = connect(path);
  await sleep(20);
  const slow = wire.acceptUnix(listener);
  assert(slow !== null);
  assert.equal(wire.isPeerGone(slow.fd), false);
  client.pause();
  const big = Buffer.alloc(1 << 22);
  assert(wire.sendUnix(slow.fd, big) < big.length);
  assert.equal(wire.receiveUnix(slow.fd), null);
  client.destroy();
  closeSync(slow.fd);
  closeSync(listener);
}

/** Closed before, within and after a call of its listener, a watch lets go of all that it knew. */
async function forgetsClosedWatches(): Promise<void> {
  const path = join(directory, 'watched');
  const listener = wire.listenUnix(path, 1);
  const client = connect(path);
  await sleep(20);
  const owners: WeakRef<object>[] = [];
  const watchOnce = (closesWithin: boolean): WatchHandle => {
    const owner = { calls: 0 };
    owners.push(new WeakRef(owner));
    const watch: WatchHandle = new wire.Watch(listener, () => {
      owner.calls++;
      if (closesWithin) watch.close();
    });
    return watch;
  };
  // libuv knows a descriptor once, so that one follows the other.
  for (let i = 0; i < 100; i++) watchOnce(false).close();
  for (let i = 0; i < 100; i++) {
    const watch = watchOnce(i % 2 === 0);
    await sleep(1);
    watch.close();
  }
  client.destroy();
  closeSync(listener);
  await sleep(20);
  collectGarbage();
  await sleep(20);
  const kept = owners.filter((owner) => owner.deref() !== undefined).length;
  assert(kept <= 1, `${kept} closed watches are kept`);
}

function locks(): void {
  const path = join(directory, 'lock');
  const [a, b] = [openSync(path, 'w'), openSync(path, 'w')];
  assert.equal(wire.flock(a, 'exclusive'), true);
  assert.equal(wire.flock(b, 'exclusive'), false);
  assert.equal(wire.flock(a, 'unlock'), true);
  assert.equal(wire.flock(b, 'exclusive'), true);
  closeSync(a);
  closeSync(b);
  assert.throws(() => wire.flock(-1, 'exclusive'), { code: 'EBADF' });
}

/** Listings in parts on another thread, with sockets that close meanwhile or are none. */
async function exchangesLater(): Promise<void> {
  const socket = wire.openNetlink(NETLINK_ROUTE, -1, 0, 0);
  const list = encodeMessage(RTM_GETLINK, NLM_F_REQUEST_DUMP, 1, Buffer.alloc(16));
  let messages = 0;
  for (let part = await wire.exchangeNetlinkLater(socket.fd, list, 1); part.length > 0; ) {
    assert.equal(part.length, 1);
    messages += part.flatMap(parseMessages).length;
    part = await wire.exchangeNetlinkLater(socket.fd, Buffer.alloc(0), 1);
  }
  assert(messages >= 2);
  const pending = wire.exchangeNetlinkLater(socket.fd, list, 100);
  closeSync(socket.fd);
  assert((await pending).length > 0);
  assert.throws(() => wire.exchangeNetlinkLater(-1, list, 1), { code: 'EBADF' });
  const file = openSync(join(directory, 'none'), 'w');
  await assert.rejects(wire.exchangeNetlinkLater(file, list, 1), { code: 'ENOTSOCK' });
  closeSync(file);
}

/** A worker that ends with an open watch must not take the process with it. */
async function survivesWorkers(): Promise<void> {
  const source = `
    const { loadWire } = await import(${JSON.stringify(new URL('../../src/netlink/wire.ts', import.meta.url).href)});
    const wire = loadWire(${JSON.stringify(ADDON)});
    const socket = wire.openNetlink(0, -1, 0, 0);
    new wire.Watch(socket.fd, () => {});
    void wire.exchangeNetlinkLater(socket.fd, Buffer.alloc(0), 1);
    const { parentPort } = await import('node:worker_threads');
    parentPort.postMessage('ready');`;
  for (let round = 0; round < 3; round++) {
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
    await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    await worker.terminate();
  }
}
