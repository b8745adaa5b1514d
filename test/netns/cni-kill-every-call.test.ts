/**
 * SIGKILL at each system call of one ADD and one DEL that changes a file or sends to the kernel. One
 * DEL afterwards leaves nothing.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { INSTALL_ROOT } from '../support/cluster.ts';
import { CniTestNode } from '../support/cni-node.ts';
import { inLanes } from '../support/lanes.ts';
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

/** A node with one pod. */
class Lab {
  readonly #node = new CniTestNode();
  readonly #pod: TestNetns = this.#node.pod();

  run(command: string, prefix: readonly string[] = []) {
    const stdin = fullNetwork(this.#node.dataDir);
    const plugin = [...prefix, ...standalone];
    return this.#node.callBeside({ command, netns: this.#pod, stdin, plugin });
  }

  /** Ends the program in front of its n-th such call; false when it has made fewer. */
  async killAt(command: string, call: string, n: number): Promise<boolean> {
    const inject = `inject=${call}:signal=KILL:when=${n}`;
    const trace = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', inject];
    const { status, stdout } = await this.run(command, trace);
    if (status === 0) return false;
    // strace ends as what it traced did: by a signal.
    expect([status, stdout]).toEqual([-1, expect.not.stringContaining('"code"')]);
    return true;
  }

  /** What one DEL leaves. */
  async deleted() {
    const { status, stdout } = await this.run('DEL');
    const { host, runDir, dataDir } = this.#node;
    return { status, stdout, left: leftovers({ host, pods: [this.#pod], runDir, dataDir }) };
  }

  /** As on a node that has never had a pod. */
  forgetStructure(): void {
    const { host, runDir, dataDir } = this.#node;
    host.attempt('ip', ['link', 'delete', 'br0']);
    host.run('nft', 'flush', 'ruleset');
    for (const directory of [runDir, dataDir]) rmSync(directory, { recursive: true, force: true });
  }

  remove(): void {
    this.#node.remove();
  }
}

/** Kills at the first such call, the second, and so on; gives how many there were. */
async function killAtEach(call: string, once: (lab: Lab, n: number) => Promise<boolean>) {
  const lab = new Lab();
  try {
    for (let n = 1; n < mostCalls; n += 1) if (!(await once(lab, n))) return n - 1;
    throw new Error(`${call}: more than ${mostCalls}`);
  } finally {
    lab.remove();
  }
}

const NOTHING = { status: 0, stdout: '', left: [] };
const options = { timeout: 240_000, retry: 0 };

test('[117] ADD killed at each call', options, async () => {
  const kills = await inLanes(calls, (call) =>
    killAtEach(call, async (lab, n) => {
      const wasKilled = await lab.killAt('ADD', call, n);
      expect([call, n, await lab.deleted()]).toEqual([call, n, NOTHING]);
      lab.forgetStructure();
      return wasKilled;
    }),
  );
  expect(kills.filter((count) => count > 0).length).toBeGreaterThan(5);
  expect(kills.reduce((sum, count) => sum + count)).toBeGreaterThan(60);
});

test('[117] DEL killed at each call', options, async () => {
  const kills = await inLanes(calls, (call) =>
    killAtEach(call, async (lab, n) => {
      expect(await lab.run('ADD')).toMatchObject({ status: 0 });
      const wasKilled = await lab.killAt('DEL', call, n);
      expect([call, n, await lab.deleted()]).toEqual([call, n, NOTHING]);
      return wasKilled;
    }),
  );
  expect(kills.reduce((sum, count) => sum + count)).toBeGreaterThan(25);
});
