/**
 * Throw-away network namespaces for tests: made here, used with nsenter, gone afterwards. Tests
 * need root; without it they fail and say so.
 */

import type { ChildProcess } from 'node:child_process';
import { execFileSync, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';

export interface TestNetns {
  readonly name: string;
  /** What CNI_NETNS would be. */
  readonly path: string;
  /** Runs a command inside and gives its stdout; throws with stderr when it fails. */
  run(command: string, ...args: string[]): string;
  /** Like `run`, but failure is a result; `timeoutMs` bounds it. */
  attempt(
    command: string,
    args: readonly string[],
    timeoutMs?: number,
  ): { readonly status: number; readonly stdout: string; readonly stderr: string };
  /** `ip -json <args>` inside, parsed. */
  ip<T = unknown>(...args: string[]): T;
  /** Runs `ip` commands inside, all in one process; throws when one fails. */
  batch(lines: readonly string[]): void;
  /** Starts a long-running command inside; `remove` ends it. */
  start(command: string, args: readonly string[], options?: SpawnOptions): ChildProcess;
  /** Ends what `start` started and deletes the namespace. */
  remove(): void;
}

const RUN_TIMEOUT_MS = 30_000;

/**
 * Until a link's own IPv6 address has been tried, a second or two, the kernel asks for no neighbour in the
 * name of another host: what a new link forwards is late. Links of a node that runs are past that.
 */
const SET_UP = 'ip link set lo up && echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad';

/** Creates a namespace `wt-<label>-<random>` with `lo` up, whose links have no tentative addresses. */
export function createNetns(label: string): TestNetns {
  if (process.getuid?.() !== 0) throw new Error('this test needs root: run it as root or in CI');
  const name = `wt-${label}-${randomBytes(3).toString('hex')}`;
  const path = `/var/run/netns/${name}`;
  execFileSync('ip', ['netns', 'add', name]);
  execFileSync('nsenter', [`--net=${path}`, 'sh', '-c', SET_UP]);
  const children: ChildProcess[] = [];
  const enter = (command: string, args: readonly string[]) => [`--net=${path}`, command, ...args];

  const attempt: TestNetns['attempt'] = (command, args, timeoutMs = RUN_TIMEOUT_MS) => {
    const result = spawnSync('nsenter', enter(command, args), {
      encoding: 'utf8',
      timeout: timeoutMs,
      maxBuffer: 1 << 28,
    });
    return { status: result.status ?? -1, stdout: result.stdout, stderr: result.stderr };
  };
  const run: TestNetns['run'] = (command, ...args) => {
    const { status, stdout, stderr } = attempt(command, args);
    if (status !== 0)
      throw new Error(`${command} ${args.join(' ')}: ${stderr || `exit ${status}`}`);
    return stdout;
  };
  return {
    name,
    path,
    run,
    attempt,
    ip: <T>(...args: string[]) => {
      const text = run('ip', '-json', ...args);
      // The caller names the shape it reads; a wrong one fails the test's own assertion.
      return JSON.parse(text === '' ? '[]' : text) as T;
    },
    batch(lines) {
      execFileSync('ip', ['-n', name, '-batch', '-'], { input: lines.join('\n') });
    },
    start(command, args, options = {}) {
      const child = spawn('nsenter', enter(command, args), { stdio: 'pipe', ...options });
      children.push(child);
      return child;
    },
    remove() {
      for (const child of children) child.kill('SIGKILL');
      execFileSync('ip', ['netns', 'del', name]);
    },
  };
}

/** Joins two namespaces by a veth; `a` and `b` name the ends, with addresses if given. */
export function connect(
  a: { readonly netns: TestNetns; readonly link: string; readonly addresses?: readonly string[] },
  b: { readonly netns: TestNetns; readonly link: string; readonly addresses?: readonly string[] },
): void {
  a.netns.run(
    ...(['ip', 'link', 'add', a.link, 'type', 'veth'] as const),
    ...(['peer', 'name', b.link, 'netns', b.netns.name] as const),
  );
  for (const end of [a, b]) {
    end.netns.run('ip', 'link', 'set', end.link, 'up');
    for (const address of end.addresses ?? []) {
      const nodad = address.includes(':') ? ['nodad'] : [];
      end.netns.run('ip', 'addr', 'add', address, 'dev', end.link, ...nodad);
    }
  }
}
