/**
 * A node for a real container runtime: network, mount and pid namespaces of its own. Every directory
 * a runtime writes to (README.md lists them) lies below one temporary directory, bound over the
 * machine's. When the first process of the pid namespace ends, so do all, containers included.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { joinErrors } from '../../../src/util/errors.ts';
import { connect, createNetns } from '../netns.ts';
import { type Footprint, netfilterTraces } from './footprint.ts';

const repository = new URL('../../../', import.meta.url).pathname;
const pause = join(repository, 'native/pause/build/pause');
const cgroupRoot = '/sys/fs/cgroup';
const runTimeoutMs = 60_000;

/** What `make install` made; WEFT_TEST_ROOT names another tree, such as an unpacked release. */
export const installedTree = process.env['WEFT_TEST_ROOT'] || join(repository, 'dist/root');

/** Bound over the machine's directories of the same name. */
const privateDirectories = [
  ...['/run', '/opt', '/var/lib', '/var/tmp'],
  ...['/etc/cni', '/etc/containers', '/etc/containerd'],
];

/** The node's address towards the client, and the client's, which is also its way to pods. */
export const nodeAddress = '192.168.0.10';
export const clientAddress = '192.168.0.20';

export interface CommandOutcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class RuntimeNode {
  readonly netns = createNetns('node');
  /** A machine on the node's network. */
  readonly client = createNetns('client');
  readonly directory = mkdtempSync(join(tmpdir(), 'wt-rt-'));
  /** Name of the cgroup below which runtimes are to put their containers. */
  readonly cgroup = basename(this.directory);
  #init: ChildProcess | undefined;
  #initPid = 0;

  private constructor() {}

  /** Throws what `mount` or `unshare` said when the machine refuses. */
  static async start(): Promise<RuntimeNode> {
    for (const path of [join(installedTree, 'opt/cni/bin/weft'), pause]) {
      if (!existsSync(path)) throw new Error(`${path}: not built; run \`make test-runtime\``);
    }
    const node = new RuntimeNode();
    try {
      for (const path of [
        '/run/netns',
        '/run/lock',
        '/opt/cni/bin',
        '/opt/weft',
        '/etc/cni/net.d',
      ]) {
        mkdirSync(node.path(path), { recursive: true });
      }
      for (const path of privateDirectories) mkdirSync(node.path(path), { recursive: true });
      await node.#isolate();
      connect(
        { netns: node.netns, link: 'uplink', addresses: [`${nodeAddress}/24`, 'fd00:192::10/64'] },
        { netns: node.client, link: 'eth0', addresses: [`${clientAddress}/24`, 'fd00:192::20/64'] },
      );
    } catch (cause) {
      await node.remove();
      throw cause;
    }
    return node;
  }

  /** Where the node's file is on this machine. */
  path(nodePath: string): string {
    return join(this.directory, nodePath);
  }

  /** Runs a command as a process of the node would. */
  attempt(command: string, args: readonly string[], timeoutMs = runTimeoutMs): CommandOutcome {
    const result = spawnSync('nsenter', this.#enter(command, args), {
      encoding: 'utf8',
      timeout: timeoutMs,
      maxBuffer: 1 << 28,
    });
    const stderr = result.error === undefined ? result.stderr : `${result.error.message}`;
    return { status: result.status ?? -1, stdout: result.stdout, stderr };
  }

  /** Gives stdout; throws with stderr when the command fails. */
  run(command: string, ...args: string[]): string {
    const { status, stdout, stderr } = this.attempt(command, args);
    if (status === 0) return stdout;
    throw new Error(`${command} ${args.join(' ')}: ${stderr.trim() || `exit ${status}`}`);
  }

  /** Starts a daemon; what it prints goes to `log(name)`. It lives until the node is removed. */
  start(name: string, command: string, args: readonly string[]): ChildProcess {
    const log = openSync(this.path(`${name}.log`), 'a');
    const child = spawn('nsenter', this.#enter(command, args), { stdio: ['ignore', log, log] });
    closeSync(log);
    return child;
  }

  log(name: string): string {
    const path = this.path(`${name}.log`);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  /** Puts programs into /opt/cni/bin, by the name runtimes call them; open ones are replaced. */
  installPlugins(programs: Readonly<Record<string, string>>): void {
    for (const [name, program] of Object.entries(programs)) {
      const target = this.path(`/opt/cni/bin/${name}`);
      copyFileSync(program, `${target}.new`);
      renameSync(`${target}.new`, target);
    }
  }

  /** Replaces the node's network configuration. */
  writeNetwork(conflist: object): void {
    const target = this.path('/etc/cni/net.d/10-test.conflist');
    writeFileSync(`${target}.new`, JSON.stringify(conflist));
    renameSync(`${target}.new`, target);
  }

  /** Everything a pod may leave behind. */
  footprint(): Footprint {
    const links = this.netns.ip<{ ifname: string; linkinfo?: { info_kind: string } }[]>(
      ...['-details', 'link'],
    );
    const files = (path: string) =>
      existsSync(this.path(path))
        ? readdirSync(this.path(path), { recursive: true, withFileTypes: true })
        : [];
    return {
      links: links
        .filter(({ linkinfo }) => linkinfo?.info_kind === 'veth')
        .map(({ ifname }) => ifname)
        .filter((name) => name !== 'uplink'),
      addresses: [...files('/var/lib/cni/networks'), ...files('/run/weft/adding')]
        .filter((entry) => entry.isFile() && !/^(lock|last_reserved_ip\.\d+)$/.test(entry.name))
        .map(({ name }) => name),
      results: files('/var/lib/cni/results').map(({ name }) => name),
      netnses: files('/run/netns').map(({ name }) => name),
      netfilter: netfilterTraces(this.netns.run('nft', 'list', 'ruleset')),
    };
  }

  /** Ends every process of the node and removes everything it had on this machine. */
  async remove(): Promise<void> {
    const errors: unknown[] = [];
    const steps = [
      () => this.#endAll(),
      () => removeCgroups(this.cgroup),
      () => rmSync(this.directory, { recursive: true, force: true }),
      () => this.client.remove(),
      () => this.netns.remove(),
    ];
    for (const step of steps) {
      try {
        await step();
      } catch (thrown) {
        errors.push(thrown);
      }
    }
    const error = joinErrors(errors, `remove node ${this.directory}`);
    if (error !== undefined) throw error;
  }

  /** unshare waits for the first process, whose end waits for that of all others. */
  async #endAll(): Promise<void> {
    const init = this.#init;
    if (init === undefined || init.exitCode !== null || init.signalCode !== null) return;
    const isGone = once(init, 'exit');
    if (this.#initPid > 0) process.kill(this.#initPid, 'SIGKILL');
    else init.kill('SIGKILL');
    await isGone;
  }

  async #isolate(): Promise<void> {
    const init = spawn(
      'nsenter',
      [
        ...[`--net=${this.netns.path}`, 'unshare', '--mount', '--propagation=private'],
        ...['--pid', '--fork', '--mount-proc', '--kill-child=SIGKILL'],
        ...['sh', '-c', initScript, 'init', this.directory, join(installedTree, 'opt/weft'), pause],
        ...privateDirectories,
      ],
      { stdio: 'pipe' },
    );
    this.#init = init;
    let output = '';
    const isReady = Promise.withResolvers<void>();
    const collect = (bytes: Buffer) => {
      output += bytes.toString();
      if (output.includes('ready\n')) isReady.resolve();
    };
    init.stdout.on('data', collect);
    init.stderr.on('data', collect);
    init.once('exit', (code) => isReady.reject(new Error(`node ended with ${code}: ${output}`)));
    await isReady.promise;
    const children = readFileSync(`/proc/${init.pid}/task/${init.pid}/children`, 'utf8');
    this.#initPid = Number(children.trim().split(' ')[0]);
  }

  #enter(command: string, args: readonly string[]): string[] {
    return [`--target=${this.#initPid}`, '--net', '--mount', '--pid', '--wd=/', command, ...args];
  }
}

/**
 * Becomes the first process of the pid namespace, which reaps orphans. It ends when its stdin
 * does, that is with the test process, however that ended.
 */
const initScript = `
set -e
directory=$1 installed=$2 pause=$3
shift 3
exec 3<&0
# The machine's own would stay in mountinfo, hidden below the node's /run, where containerd finds it.
while umount -l /run/netns 2>/dev/null; do :; done
for path; do mount --bind "$directory$path" "$path"; done
mount --bind "$installed" /opt/weft
(cat <&3 >/dev/null; kill -TERM 1) &
echo ready
exec "$pause" 3<&- <&-
`;

/** Runtimes that are killed leave theirs behind. */
function removeCgroups(name: string): void {
  const removeTree = (path: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) removeTree(join(path, entry.name));
    }
    rmdirSync(path);
  };
  for (const controller of readdirSync(cgroupRoot)) {
    const path = join(cgroupRoot, controller, name);
    if (existsSync(path)) removeTree(path);
  }
}

/** Compiles the program that test containers run. */
export function buildWorkload(target: string): void {
  const source = new URL('workload.c', import.meta.url).pathname;
  execFileSync('musl-gcc', ['-static', '-Os', '-s', '-o', target, source]);
}
