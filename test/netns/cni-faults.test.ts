/** What goes wrong on nodes, each run to its end: then everything that is left is counted. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { randomStream } from '../faults/random.ts';
import { CNI_BINARY, WEFT_BINARY } from '../support/cluster.ts';
import { CniTestNode } from '../support/cni-node.ts';
import { fullNetwork, leftovers } from '../support/leftovers.ts';
import type { TestNetns } from '../support/netns.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';

let node: CniTestNode;
let pods: TestNetns[];
let mounts: string[];
beforeEach(() => {
  node = new CniTestNode();
  pods = [];
  mounts = [];
});
afterEach(() => {
  for (const path of mounts) execFileSync('umount', [path]);
  node.remove();
});

const options = { timeout: 120_000, retry: 0 };

function newPod(): TestNetns {
  const pod = node.pod();
  pods.push(pod);
  return pod;
}

function counted(): string[] {
  const { host, runDir, dataDir } = node;
  return leftovers({ host, pods: pods.filter(({ path }) => existsSync(path)), runDir, dataDir });
}

function network(change: object = {}): Record<string, unknown> {
  return { ...fullNetwork(node.dataDir), ...change };
}

/** A file system of its own at a directory; gone after the test. */
function mount(path: string, flags: string): void {
  mkdirSync(path, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', flags, 'tmpfs', path]);
  mounts.push(path);
}

/** Until not a byte and not a file more has room. */
function fill(path: string): string {
  const file = join(path, 'filler');
  const write = () => writeFileSync(file, Buffer.alloc(1 << 20), { flag: 'a' });
  expect(write).toThrow('ENOSPC');
  return file;
}

describe.each(['dataDir', 'runDir'] as const)('%s', (which) => {
  test(
    'full: ADD fails and leaves nothing, DEL works, and both when there is room again',
    options,
    () => {
      mount(node[which], 'size=64k,mode=0755');
      const old = newPod();
      node.result({ command: 'ADD', id: 'old', netns: old, stdin: network() });
      const filler = fill(node[which]);
      const stdin = network({ runtimeConfig: {} });
      const young = newPod();
      const failed = node.call({ command: 'ADD', id: 'young', netns: young, stdin });
      expect([failed.status, failed.stdout]).toEqual([1, expect.stringContaining('ENOSPC')]);
      expect(node.call({ command: 'DEL', id: 'young', stdin })).toMatchObject({ status: 0 });
      expect(node.call({ command: 'DEL', id: 'old', netns: old, stdin: network() })).toMatchObject({
        status: 0,
        stdout: '',
      });
      expect(counted()).toEqual([]);
      rmSync(filler);
      node.result({ command: 'ADD', id: 'young', netns: young, stdin });
      node.result({ command: 'DEL', id: 'young', netns: young, stdin });
      expect(counted()).toEqual([]);
    },
  );

  test('read-only: ADD changes nothing, DEL is done when it can be written again', options, () => {
    mount(node[which], 'size=64k,mode=0755');
    const old = newPod();
    node.result({ command: 'ADD', id: 'old', netns: old, stdin: network() });
    const remount = (mode: string) => {
      execFileSync('mount', ['-o', `remount,${mode}`, node[which]]);
    };
    remount('ro');
    const before = counted();
    const failed = node.call({ command: 'ADD', id: 'young', netns: newPod(), stdin: network() });
    expect([failed.status, failed.stdout]).toEqual([1, expect.stringMatching(/EROFS|Read-only/)]);
    expect(counted()).toEqual(before);
    const deletion = { command: 'DEL', id: 'old', netns: old, stdin: network() };
    const refused = node.call(deletion);
    expect([refused.status, refused.stdout]).toEqual([1, expect.stringMatching(/EROFS|Read-only/)]);
    // What could be removed is.
    expect(counted().filter((line) => /link|nft/.test(line))).toEqual([]);
    remount('rw');
    expect(node.call(deletion)).toMatchObject({ status: 0, stdout: '' });
    expect(counted()).toEqual([]);
  });
});

/** Of one that nothing disturbs, in milliseconds: instants are spread over it. */
function timeOfAdd(): number {
  const call = { id: 'timed', netns: newPod(), stdin: network() };
  const startedAt = performance.now();
  node.result({ command: 'ADD', ...call });
  const elapsedMs = performance.now() - startedAt;
  node.result({ command: 'DEL', ...call });
  return elapsedMs;
}

test('the namespace vanishes during ADD, at random instants', options, async () => {
  const random = randomStream(7);
  const outcomes = new Set<number>();
  const wholeMs = timeOfAdd();
  for (let round = 0; round < 15; round += 1) {
    const id = `pod-${round}`;
    const pod = node.pod();
    const add = node.callBeside({ command: 'ADD', id, netns: pod, stdin: network() });
    // From too early to too late.
    if (round === 14) await add;
    else await sleep(round === 0 ? 0 : random() * wholeMs);
    pod.remove();
    outcomes.add((await add).status);
    const deletion = node.call({ command: 'DEL', id, netns: pod.path, stdin: network() });
    expect(deletion).toMatchObject({ status: 0, stdout: '' });
    expect(counted()).toEqual([]);
  }
  expect(outcomes).toEqual(new Set([0, 1]));
});

test('two ADDs of one container at once: one makes it, the other is refused', options, async () => {
  for (let round = 0; round < 8; round += 1) {
    const pod = newPod();
    const call = { id: `pod-${round}`, netns: pod, stdin: network() };
    const both = await Promise.all([1, 2].map(() => node.callBeside({ command: 'ADD', ...call })));
    const succeeded = both.filter(({ status }) => status === 0);
    const refused = both.filter(({ status }) => status !== 0);
    for (const { stdout } of refused) expect(JSON.parse(stdout)).toHaveProperty('code');
    expect([succeeded.length, refused.length]).toEqual([1, 1]);
    const addresses = JSON.parse(succeeded[0]?.stdout ?? '{}').ips as { address: string }[];
    expect(pod.attempt('ping', ['-c1', '-W1', '10.61.0.1']).status).toBe(0);
    expect(addresses).toHaveLength(2);
    node.result({ command: 'DEL', ...call });
    expect(counted()).toEqual([]);
  }
});

test('DEL before, during and after ADD', options, async () => {
  const random = randomStream(11);
  const wholeMs = timeOfAdd();
  for (let round = 0; round < 8; round += 1) {
    const call = { id: `pod-${round}`, netns: newPod(), stdin: network() };
    expect(node.call({ command: 'DEL', ...call })).toMatchObject({ status: 0, stdout: '' });
    const add = node.callBeside({ command: 'ADD', ...call });
    await sleep(random() * wholeMs);
    const during = await node.callBeside({ command: 'DEL', ...call });
    expect(during).toMatchObject({ status: 0, stdout: '' });
    await add;
    expect(node.call({ command: 'DEL', ...call })).toMatchObject({ status: 0, stdout: '' });
    expect(counted()).toEqual([]);
  }
});

test('DEL without prevResult, with an empty or a stale CNI_NETNS', options, () => {
  const stale = node.staleFile();
  for (const [index, netns] of ['', '/run/netns/wt-nowhere', stale].entries()) {
    const call = { id: `pod-${index}`, stdin: network({ cniVersion: '0.3.1' }) };
    node.result({ command: 'ADD', netns: newPod(), ...call });
    const { runtimeConfig: _, ...stdin } = network({ cniVersion: '0.3.1' });
    const deletion = node.call({ command: 'DEL', ...call, netns, stdin });
    expect(deletion).toMatchObject({ status: 0, stdout: '' });
    expect(counted()).toEqual([]);
  }
});

test('an exhausted pool: code 11, nothing left, and room again after a DEL', options, () => {
  const ipam = { type: 'host-local', dataDir: node.dataDir, subnet: '10.61.0.0/30' };
  const stdin = network({ ipam, runtimeConfig: {} });
  const [first, second] = [newPod(), newPod()];
  node.result({ command: 'ADD', id: 'first', netns: first, stdin });
  const before = counted();
  const { status, stdout } = node.call({ command: 'ADD', id: 'second', netns: second, stdin });
  expect([status, JSON.parse(stdout).code]).toEqual([1, 11]);
  expect(counted()).toEqual(before);
  node.result({ command: 'DEL', id: 'first', netns: first, stdin });
  node.result({ command: 'ADD', id: 'second', netns: second, stdin });
  node.result({ command: 'DEL', id: 'second', netns: second, stdin });
  expect(counted()).toEqual([]);
});

describe('files that a crash or a person has spoilt', () => {
  const spoilt = [
    ['nothing', ''],
    ['zeros', '\0\0\0\0'],
    ['half an object', '{"format":1,'],
    ['anything', 'x'.repeat(10_000)],
  ] as const;

  test.each(spoilt)('every file of the stores holds %s', options, (_name, content) => {
    const call = { netns: newPod(), stdin: network() };
    node.result({ command: 'ADD', ...call });
    for (const file of filesOf(node.dataDir, node.runDir)) writeFileSync(file, content);
    expect(node.call({ command: 'DEL', ...call })).toMatchObject({ status: 0, stdout: '' });
    // An address file says no more whose it is: it is left to an ADD that needs it, or a person.
    expect(counted().filter((line) => !/^kill\//.test(line))).toEqual([]);
    const other = { id: 'other', netns: newPod(), stdin: network() };
    node.result({ command: 'ADD', ...other });
    node.result({ command: 'DEL', ...other });
    expect(counted().filter((line) => !/^kill\//.test(line))).toEqual([]);
  });

  test('zero-length address files are given again', options, () => {
    const ipam = { type: 'host-local', dataDir: node.dataDir, subnet: '10.61.0.0/30' };
    const call = { netns: newPod(), stdin: network({ ipam, runtimeConfig: {} }) };
    mkdirSync(join(node.dataDir, 'kill'), { recursive: true });
    writeFileSync(join(node.dataDir, 'kill/10.61.0.2'), '');
    node.result({ command: 'ADD', ...call });
    node.result({ command: 'DEL', ...call });
    expect(counted()).toEqual([]);
  });
});

function filesOf(...directories: readonly string[]): readonly string[] {
  return directories.flatMap((directory) =>
    readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== 'lock')
      .map((entry) => join(entry.parentPath, entry.name)),
  );
}

test(
  'the agent is restarted again and again while eight callers are at work',
  options,
  async () => {
    mkdirSync(node.runDir, { mode: 0o700 });
    const flags = ['--components', 'cni', '--run-dir', node.runDir, '--node-name', 'faults'];
    const start = () => startIn(node.host.path, [WEFT_BINARY, 'agent', ...flags], 'agent started');
    let agent: RunningProgram = await start();
    let isDone = false;
    const restarts = (async () => {
      let count = 0;
      for (; !isDone; count += 1) {
        await agent.end(count % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
        agent = await start();
        await sleep(100);
      }
      return count;
    })();
    const work = Array.from({ length: 8 }, async (_, index) => {
      const pod = newPod();
      const stdin = fullNetwork(node.dataDir, 30_000 + index);
      const plugin = [CNI_BINARY];
      for (let round = 0; round < 6; round += 1) {
        const call = { id: `pod-${index}-${round}`, netns: pod, stdin, plugin };
        for (const command of ['ADD', 'DEL']) {
          const { status, stdout } = await node.callBeside({ command, ...call });
          expect([index, round, command, status, status === 0 ? '' : stdout]).toEqual([
            ...[index, round, command, 0],
            '',
          ]);
        }
      }
    });
    let count = 0;
    try {
      await Promise.all(work);
    } finally {
      isDone = true;
      count = await restarts;
      await agent.end('SIGTERM');
    }
    expect(count).toBeGreaterThan(2);
    expect(counted()).toEqual([]);
  },
);
