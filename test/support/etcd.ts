/** Debian's etcd in a namespace of the test: members that are started, killed and restored. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestNetns } from './netns.ts';
import { until } from './until.ts';

export interface EtcdOptions {
  readonly members?: number;
  /** Of every member. */
  readonly flags?: readonly string[];
  /** For etcdctl, with the scheme of `flags`. */
  readonly scheme?: 'http' | 'https';
  readonly clientFlags?: readonly string[];
  readonly host?: string;
  /** Of the first member's clients; each has the one behind it too, and the next is ten further. */
  readonly port?: number;
}

/** Where members run. */
export type EtcdPlace = Pick<TestNetns, 'run' | 'attempt' | 'start'>;

/** On the loopback device of this process. */
export function hostPlace(): EtcdPlace {
  const attempt: EtcdPlace['attempt'] = (command, args, timeoutMs = 30_000) => {
    const found = spawnSync(command, args, { encoding: 'utf8', timeout: timeoutMs });
    return { status: found.status ?? -1, stdout: found.stdout, stderr: found.stderr };
  };
  return {
    attempt,
    run: (command, ...args) => {
      const { status, stdout, stderr } = attempt(command, args);
      if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
      return stdout;
    },
    start: (command, args, options = {}) => spawn(command, args, options),
  };
}

/** A port of the loopback device with enough free ones behind it, for most of the time. */
export async function freePorts(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? Math.min(address.port, 65_000) : 0;
}

/** Members in one namespace, told apart by their ports. */
export class TestEtcd {
  readonly directory = mkdtempSync(join(tmpdir(), 'weft-etcd-'));
  readonly #netns: EtcdPlace;
  readonly #options: Required<EtcdOptions>;
  readonly #running = new Map<number, ChildProcess>();
  /** Directories of data are numbered: a restored one is another. */
  #generation = 0;

  constructor(netns: EtcdPlace, options: EtcdOptions = {}) {
    this.#netns = netns;
    this.#options = {
      ...{ members: 1, flags: [], scheme: 'http', clientFlags: [], host: '127.0.0.1' },
      port: 2379,
      ...options,
    };
  }

  get endpoints(): readonly string[] {
    const { members, scheme, host, port } = this.#options;
    return Array.from({ length: members }, (_, n) => `${scheme}://${host}:${port + 10 * n}`);
  }

  /** Starts all members that do not run, and waits until they take what is written. */
  async start(): Promise<void> {
    for (let n = 0; n < this.#options.members; n++) {
      if (!this.#running.has(n)) this.#startMember(n);
    }
    await until('etcd answers', () => {
      const { status } = this.#netns.attempt('etcdctl', this.#words(['endpoint', 'health']), 5_000);
      return status === 0;
    });
  }

  /** Kills one member, or all of them. */
  async kill(only?: number): Promise<void> {
    const killed = [...this.#running].filter(([n]) => only === undefined || n === only);
    for (const [n, child] of killed) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
      this.#running.delete(n);
    }
  }

  /** Freezes, or lets go on, what a member does. */
  signal(n: number, name: NodeJS.Signals): void {
    this.#running.get(n)?.kill(name);
  }

  ctl(...words: string[]): string {
    return this.#netns.run('etcdctl', ...this.#words(words));
  }

  put(key: string, value: object | string): void {
    this.ctl('put', '--', key, typeof value === 'string' ? value : JSON.stringify(value));
  }

  /** Puts a Service at one member; whether it was taken. */
  tryPut(endpoint: string, key: string): boolean {
    const value = JSON.stringify({ spec: { clusterIP: '172.30.0.9', ports: [] } });
    const words = ['put', key, value, `--endpoints=${endpoint}`, '--command-timeout=2s'];
    return this.#netns.attempt('etcdctl', words).status === 0;
  }

  /** Writes values to `<start><n>` for n from 0, many in one transaction. */
  fill(start: string, values: readonly string[]): void {
    const encode = (text: string) => Buffer.from(text).toString('base64');
    const file = join(this.directory, 'transaction');
    for (let first = 0; first < values.length; first += 1_000) {
      const success = values.slice(first, first + 1_000).map((value, i) => ({
        request_put: { key: encode(`${start}${first + i}`), value: encode(value) },
      }));
      writeFileSync(file, JSON.stringify({ success }));
      this.#netns.run('curl', '-sf', `${this.endpoints[0]}/v3/kv/txn`, '-d', `@${file}`);
    }
  }

  /** From now on only root and this user may do anything, the latter below these prefixes. */
  enableUser(
    name: string,
    password: string,
    permissions: readonly (readonly [string, string])[],
  ): void {
    for (const words of [
      ['user', 'add', 'root:top'],
      ['user', 'grant-role', 'root', 'root'],
      ['role', 'add', 'role'],
      ...permissions.map(([what, prefix]) => {
        return ['role', 'grant-permission', 'role', what, '--prefix', prefix];
      }),
      ['user', 'add', `${name}:${password}`],
      ['user', 'grant-role', name, 'role'],
      ['auth', 'enable'],
    ]) {
      this.ctl(...words);
    }
  }

  revision(): number {
    // The shape is etcdctl's; another one fails the test.
    const { header } = JSON.parse(this.ctl('get', 'x', '-w', 'json')) as {
      header: { revision: number };
    };
    return header.revision;
  }

  /** The member that the others follow. */
  leader(): number {
    return this.endpoints.findIndex((endpoint) => {
      const words = ['endpoint', 'status', '-w', 'json', `--endpoints=${endpoint}`];
      const { status, stdout } = this.#netns.attempt('etcdctl', words, 5_000);
      if (status !== 0) return false;
      // As above.
      const [found] = JSON.parse(stdout) as [
        { Status: { header: { member_id: number }; leader: number } },
      ];
      return found.Status.header.member_id === found.Status.leader;
    });
  }

  /** Keeps all that is there now. */
  save(file: string): void {
    const [endpoint = ''] = this.endpoints;
    const { clientFlags } = this.#options;
    const words = ['snapshot', 'save', join(this.directory, file), `--endpoints=${endpoint}`];
    this.#netns.run('etcdctl', ...words, ...clientFlags);
  }

  /** Ends the only member, which comes back with what was kept. */
  async restore(file: string): Promise<void> {
    await this.kill();
    this.#generation++;
    const words = ['snapshot', 'restore', join(this.directory, file), '--name=m0'];
    const cluster = ['--initial-cluster', this.#cluster(), '--initial-advertise-peer-urls'];
    this.#netns.run('etcdctl', ...words, ...cluster, this.#peer(0), '--data-dir', this.#data(0));
    await this.start();
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #startMember(n: number): void {
    const url = this.endpoints[n] ?? '';
    const peer = this.#peer(n);
    const child = this.#netns.start(
      'etcd',
      [
        ...['--name', `m${n}`, '--data-dir', this.#data(n), '--log-level', 'error'],
        ...['--listen-client-urls', url, '--advertise-client-urls', url],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
        ...['--initial-cluster', this.#cluster()],
        ...['--max-txn-ops', '1000', ...this.#options.flags],
      ],
      { stdio: 'ignore' },
    );
    this.#running.set(n, child);
  }

  #cluster(): string {
    return Array.from({ length: this.#options.members }, (_, n) => `m${n}=${this.#peer(n)}`).join();
  }

  #peer(n: number): string {
    return `http://127.0.0.1:${this.#options.port + 1 + 10 * n}`;
  }

  #data(n: number): string {
    return join(this.directory, `m${n}-${this.#generation}`);
  }

  #words(words: readonly string[]): string[] {
    return [`--endpoints=${this.endpoints.join()}`, ...this.#options.clientFlags, ...words];
  }
}
