/** A node of its own for CNI tests: a namespace, directories, pods and ways to call a plugin. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNetns, type TestNetns } from './netns.ts';

export interface CniOutcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CniCall {
  readonly command: string;
  readonly id?: string;
  /** CNI_NETNS; the pod's path when a namespace is given. */
  readonly netns?: TestNetns | string;
  readonly ifName?: string;
  readonly stdin: string | object;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Program and arguments; the standalone when absent. */
  readonly plugin?: readonly string[];
}

const standalone = [
  process.execPath,
  new URL('../../src/cli/cni.ts', import.meta.url).pathname,
] as const;

export class CniTestNode {
  readonly host = createNetns('host');
  readonly directory = mkdtempSync(join(tmpdir(), 'wt-cni-'));
  readonly dataDir = join(this.directory, 'networks');
  readonly runDir = join(this.directory, 'run');
  readonly #pods: TestNetns[] = [];

  pod(): TestNetns {
    const pod = createNetns('pod');
    this.#pods.push(pod);
    return pod;
  }

  /** Program and arguments of the executable without the agent. */
  readonly standalone = standalone;

  /** A regular file where a namespace used to be. */
  staleFile(): string {
    const path = join(this.directory, 'stale');
    writeFileSync(path, '');
    return path;
  }

  /** What to spawn for a call. */
  commandOf({ command, id, netns, ifName, env, plugin = standalone }: CniCall) {
    const variables: Record<string, string | undefined> = {
      PATH: process.env['PATH'],
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
      WEFT_RUN_DIR: this.runDir,
      CNI_COMMAND: command,
      CNI_CONTAINERID: id ?? 'pod-1',
      CNI_NETNS: typeof netns === 'object' ? netns.path : (netns ?? ''),
      CNI_IFNAME: ifName ?? 'eth0',
      CNI_PATH: '/usr/lib/cni',
      ...env,
    };
    const set = Object.entries(variables).filter(([, value]) => value !== undefined);
    return {
      command: 'nsenter',
      args: [`--net=${this.host.path}`, ...plugin],
      env: Object.fromEntries(set),
    };
  }

  /** Runs a plugin on this node and waits for it. */
  call(call: CniCall): CniOutcome {
    const { command, args, env } = this.commandOf(call);
    const result = spawnSync(command, args, {
      env,
      input: typeof call.stdin === 'string' ? call.stdin : JSON.stringify(call.stdin),
      encoding: 'utf8',
      timeout: 30_000,
    });
    return { status: result.status ?? -1, stdout: result.stdout, stderr: result.stderr };
  }

  /** Like `call`, while other things happen. */
  async callBeside(call: CniCall): Promise<CniOutcome> {
    const { command, args, env } = this.commandOf(call);
    const child = spawn(command, args, { env, timeout: 30_000, killSignal: 'SIGKILL' });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].on('data', (bytes: Buffer) => {
        output[name] += bytes.toString();
      });
    }
    // One that ends without reading it all is told by its exit code.
    child.stdin.on('error', () => {});
    child.stdin.end(typeof call.stdin === 'string' ? call.stdin : JSON.stringify(call.stdin));
    await once(child, 'close');
    return { status: child.exitCode ?? -1, ...output };
  }

  /** Like `call`, with the JSON it must print; failure throws. */
  result(call: CniCall): Record<string, unknown> {
    const { status, stdout, stderr } = this.call(call);
    if (status !== 0) throw new Error(`${call.command}: ${stdout}${stderr}`);
    return stdout === '' ? {} : JSON.parse(stdout);
  }

  /** Everything on the node that an attachment may leave behind; structure is not counted. */
  footprint(): object {
    const links = this.host.ip<{ ifname: string }[]>('link').map(({ ifname }) => ifname);
    const neighbours = this.host.ip<{ dst: string }[]>('neigh', 'show', 'nud', 'reachable');
    return {
      links: links.filter((name) => name !== 'lo'),
      neighbours: neighbours.map(({ dst }) => dst),
      elements: this.elements(),
      files: this.files(),
    };
  }

  /** Masqueraded addresses, with where they lead. */
  elements(): string[] {
    const { stdout } = this.host.attempt('nft', ['-j', 'list', 'table', 'inet', 'weft-cni']);
    if (stdout === '') return [];
    return [...stdout.matchAll(/"elem": \{"val": "([^"]+)"/g)].flatMap(([, ip]) => ip ?? []).sort();
  }

  /** Reservations and unfinished journal entries. */
  files(): string[] {
    return [this.dataDir, join(this.runDir, 'adding')].flatMap((directory) => {
      if (!existsSync(directory)) return [];
      return readdirSync(directory, { recursive: true, encoding: 'utf8' })
        .filter((name) => !/(^|\/)(lock|last_reserved_ip\.\d+)$/.test(name))
        .filter((name) => directory !== this.dataDir || name.includes('/'));
    });
  }

  remove(): void {
    for (const pod of this.#pods) {
      if (existsSync(pod.path)) pod.remove();
    }
    this.host.remove();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
