/**
 * SIGKILL at each system call of one ADD and one DEL that changes a file or sends to the kernel. One
 * DEL afterwards leaves nothing.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { INSTALL_ROOT } from '../support/cluster.ts';
import { CniTestNode } from '../support/cni-node.ts';
import { fullNetwork, leftovers } from '../support/leftovers.ts';
import type { TestNetns } from '../support/netns.ts';

/** Numbered each for itself: that is how strace counts. */
const calls = [
  ...['write', 'pwrite64', 'writev', 'ftruncate', 'sendto', 'sendmsg'],
  ...['link', 'linkat', 'rename', 'renameat', 'renameat2', 'unlink', 'unlinkat'],
  ...['mkdir', 'mkdirat', 'rmdir'],
];

const standalone = ['bin/node', 'lib/weft-cni.cjs'].map((file) =>
  join(INSTALL_ROOT, 'opt/weft', file),
);

/** More than any of them is made. */
const mostCalls = 200;

let node: CniTestNode;
let pod: TestNetns;
beforeEach(() => {
  node = new CniTestNode();
  pod = node.pod();
});
afterEach(() => node.remove());

function run(command: string, prefix: readonly string[] = []) {
  const stdin = fullNetwork(node.dataDir);
  return node.call({ command, netns: pod, stdin, plugin: [...prefix, ...standalone] });
}

/** Ends the program in front of its n-th such call; false when it has made fewer. */
function killAt(command: string, call: string, n: number): boolean {
  const inject = `inject=${call}:signal=KILL:when=${n}`;
  const trace = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', inject];
  const { status, stdout } = run(command, trace);
  if (status === 0) return false;
  // strace ends as what it traced did: by a signal.
  expect([status, stdout]).toEqual([-1, expect.not.stringContaining('"code"')]);
  return true;
}

function counted(): string[] {
  const { host, runDir, dataDir } = node;
  return leftovers({ host, pods: [pod], runDir, dataDir });
}

/** As on a node that has never had a pod. */
function forgetStructure(): void {
  node.host.attempt('ip', ['link', 'delete', 'br0']);
  node.host.run('nft', 'flush', 'ruleset');
  rmSync(node.runDir, { recursive: true, force: true });
  rmSync(node.dataDir, { recursive: true, force: true });
}

const options = { timeout: 240_000, retry: 0 };

test('[117] ADD killed at each call', options, () => {
  const kills = calls.flatMap((call) => {
    let n = 1;
    for (; n < mostCalls; n += 1) {
      const wasKilled = killAt('ADD', call, n);
      const deletion = run('DEL');
      const left = [call, n, deletion.status, deletion.stdout, counted()];
      expect(left).toEqual([call, n, 0, '', []]);
      forgetStructure();
      if (!wasKilled) break;
    }
    return n - 1;
  });
  expect(kills.filter((count) => count > 0).length).toBeGreaterThan(5);
  expect(kills.reduce((sum, count) => sum + count)).toBeGreaterThan(60);
});

test('[117] DEL killed at each call', options, () => {
  const kills = calls.flatMap((call) => {
    let n = 1;
    for (; n < mostCalls; n += 1) {
      expect(run('ADD')).toMatchObject({ status: 0 });
      const wasKilled = killAt('DEL', call, n);
      const deletion = run('DEL');
      const left = [call, n, deletion.status, deletion.stdout, counted()];
      expect(left).toEqual([call, n, 0, '', []]);
      if (!wasKilled) break;
    }
    return n - 1;
  });
  expect(kills.reduce((sum, count) => sum + count)).toBeGreaterThan(25);
});
