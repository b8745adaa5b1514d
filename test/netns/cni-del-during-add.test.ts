/** A DEL that comes while an ADD of the same attachment is at work waits for it, and leaves nothing. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CniTestNode } from '../support/cni-node.ts';
import { fullNetwork, leftovers } from '../support/leftovers.ts';
import type { TestNetns } from '../support/netns.ts';

let node: CniTestNode;
let pod: TestNetns;
beforeEach(() => {
  node = new CniTestNode();
  pod = node.pod();
});
afterEach(() => node.remove());

/** Longer than a DEL takes to come, less than it waits for. */
const heldMs = 1_200;

/** Where an ADD is held: its system call of that name and number. */
const places = [
  { what: 'before it has an address', call: 'link', number: 1 },
  { what: 'before its record', call: 'rename', number: 1 },
  { what: 'before its pair', call: 'sendto', number: 12 },
  { what: 'before its host ports', call: 'rename', number: 2 },
] as const;

const namespaces: readonly { what: string; netns: () => TestNetns | string }[] = [
  { what: 'with CNI_NETNS', netns: () => pod },
  { what: 'without CNI_NETNS', netns: () => '' },
  { what: 'with a stale CNI_NETNS', netns: () => node.staleFile() },
  { what: 'with a path to nothing', netns: () => '/run/netns/wt-nowhere' },
];

function counted(): string[] {
  const { host, runDir, dataDir } = node;
  return leftovers({ host, pods: [pod], runDir, dataDir });
}

async function begun(): Promise<void> {
  const journal = join(node.runDir, 'adding');
  for (let left = 500; left > 0; left -= 1) {
    if (existsSync(journal) && readdirSync(journal).length > 0) return;
    await sleep(10);
  }
  throw new Error('the ADD has not begun within 5 s');
}

describe.each(places)('an ADD held $what', ({ call, number }) => {
  const inject = `inject=${call}:delay_enter=${heldMs}ms:when=${number}`;
  const trace = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', inject];

  test.each(namespaces)('DEL $what', { timeout: 30_000 }, async ({ netns }) => {
    const stdin = fullNetwork(node.dataDir);
    const plugin = [...trace, ...node.standalone];
    const ends: string[] = [];
    const add = node.callBeside({ command: 'ADD', netns: pod, stdin, plugin });
    void add.then(() => ends.push('ADD'));
    await begun();
    const deletion = await node.callBeside({ command: 'DEL', netns: netns(), stdin });
    ends.push('DEL');
    expect(deletion).toMatchObject({ status: 0, stdout: '' });
    expect(await add).toMatchObject({ status: 0 });
    expect(ends).toEqual(['ADD', 'DEL']);
    expect(counted()).toEqual([]);
  });
});

test('an ADD that was killed is not waited for', { timeout: 30_000 }, () => {
  const stdin = fullNetwork(node.dataDir);
  const inject = 'inject=rename:signal=KILL:when=2';
  const trace = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=rename', '-e', inject];
  const plugin = [...trace, ...node.standalone];
  expect(node.call({ command: 'ADD', netns: pod, stdin, plugin }).status).not.toBe(0);
  expect(counted()).not.toEqual([]);
  expect(node.call({ command: 'DEL', stdin })).toMatchObject({ status: 0, stdout: '', stderr: '' });
  expect(counted()).toEqual([]);
});
