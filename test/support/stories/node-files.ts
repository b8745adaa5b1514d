/** A node's own files: /opt, /run, /etc and /var/lib that are not the machine's, so that commands of a page can be run as they are. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestNetns } from '../netns.ts';

const TIMEOUT_MS = 60_000;
/** Changes to /etc go to a memory file system; the others begin empty. */
const LAYERS = 'lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work';
const MOUNTS = [
  'mount -t tmpfs tmpfs /mnt',
  'mkdir /mnt/upper /mnt/work /mnt/host',
  `mount -t overlay overlay -o ${LAYERS} /etc`,
  ...['/opt', '/run', '/var/lib'].map((path) => `mount -t tmpfs tmpfs ${path}`),
  // As systemd has it: namespaces of pods appear in the agent's files too.
  'mount --make-shared /run',
  'mkdir -p /opt/cni/bin /etc/cni/net.d /run/netns /run/lock /var/lib/cni',
].join(' && ');

export interface NodeCommand {
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export class NodeFiles {
  /** The working directory of commands, which node and machine share. */
  readonly directory = mkdtempSync(join(tmpdir(), 'weft-node-'));
  readonly #netns: TestNetns;
  readonly #holder: ChildProcess;

  private constructor(netns: TestNetns, holder: ChildProcess) {
    this.#netns = netns;
    this.#holder = holder;
  }

  static async open(netns: TestNetns): Promise<NodeFiles> {
    const script = `${MOUNTS} && echo ready && exec sleep 3600`;
    const holder = spawn('unshare', ['--mount', '--propagation=private', 'sh', '-c', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(holder.stdout, 'data');
    return new NodeFiles(netns, holder);
  }

  /** The words that run a command on the node. */
  enter(...command: readonly string[]): readonly string[] {
    const { pid } = this.#holder;
    const into = [`--net=${this.#netns.path}`, `--mount=/proc/${pid}/ns/mnt`];
    return ['nsenter', ...into, `--wdns=${this.directory}`, ...command];
  }

  /** Runs a line of a shell on the node and gives what it prints; throws with all of it when it fails. */
  run(line: string, { input = '', environment = {} }: NodeCommand = {}): string {
    const [program = '', ...args] = this.enter('sh', '-c', line);
    const { status, stdout, stderr } = spawnSync(program, args, {
      ...{ input, encoding: 'utf8', timeout: TIMEOUT_MS },
      env: { PATH: process.env['PATH'] ?? '', ...environment },
    });
    if (status !== 0) throw new Error(`${line}: ${stdout}${stderr}`);
    return stdout;
  }

  remove(): void {
    this.#holder.kill('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }
}
