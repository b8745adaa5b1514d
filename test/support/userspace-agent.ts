/** An agent in the lab's node that reads manifests, in any mode. */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { askAgent } from '../../src/agent/debug/client.ts';
import type { AgentStatus } from '../../src/agent/status/values.ts';
import { IPV4, IPV6 } from './flows/net.ts';
import type { ProxyLab } from './proxy-lab.ts';

const WEFT = new URL('../../src/cli/weft.ts', import.meta.url).pathname;
/** Under user-mode Linux it takes its time, and so does each question. */
const WAIT = { timeout: 60_000, interval: 500 };
/** Under user-mode Linux reading the program's source alone takes up to 30 s. */
const CLEANUP_TIMEOUT_MS = 90_000;

export class ModeAgent {
  output = '';
  readonly #lab: ProxyLab;
  readonly #directory = mkdtempSync(join(tmpdir(), 'weft-mode-'));
  #child: ChildProcess | undefined;

  constructor(lab: ProxyLab) {
    this.#lab = lab;
    mkdirSync(this.#path('objects'));
  }

  /** Writes objects for the agent to read, in the place of those of the same name. */
  write(name: string, ...objects: readonly object[]): void {
    const text = objects.map((object) => JSON.stringify(object)).join('\n---\n');
    writeFileSync(this.#path('objects', `${name}.yaml`), text);
  }

  delete(name: string): void {
    rmSync(this.#path('objects', `${name}.yaml`));
  }

  /** Starts it and waits until its Services are served. */
  async start(mode: string, own: object = {}, proxy: object = {}): Promise<void> {
    const settings = {
      components: ['proxy'],
      nodeName: 'node-a',
      manifests: this.#path('objects'),
      runDir: this.#path('run'),
      stateDir: this.#path('state'),
      ...own,
      proxy: {
        mode,
        clusterCIDR: `${IPV4.clusterCIDR},${IPV6.clusterCIDR}`,
        iptables: { minSyncPeriod: '0s', syncPeriod: '1s' },
        nftables: { minSyncPeriod: '0s', syncPeriod: '1s' },
        ...proxy,
      },
    };
    writeFileSync(this.#path('weft.yaml'), JSON.stringify(settings));
    const args = [WEFT, 'agent', '--config', this.#path('weft.yaml')];
    const child = this.#lab.node.start(process.execPath, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.output = '';
    child.stderr?.on('data', (chunk) => {
      this.output += chunk;
    });
    this.#child = child;
    try {
      await expect.poll(() => this.health(), WAIT).toBe('200');
    } catch (cause) {
      throw new Error(`mode ${mode}: not healthy: ${this.output}`, { cause });
    }
  }

  health(): string {
    return this.get('http://127.0.0.1:10256/healthz').slice(0, 3);
  }

  /** The value of a metric, by its name with labels. */
  metric(name: string): number | undefined {
    const text = this.get('http://127.0.0.1:10249/metrics');
    const line = text.split('\n').find((each) => each.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.split(' ')[1]);
  }

  /** Status and body; nothing when nobody answers. Bash starts faster than a program of ours. */
  get(url: string): string {
    const { hostname, port, pathname } = new URL(url);
    const request = `GET ${pathname} HTTP/1.0\\r\\n\\r\\n`;
    const script = `exec 3<>/dev/tcp/${hostname}/${port} && printf '${request}' >&3 && cat <&3`;
    const { stdout } = this.#lab.node.attempt('bash', ['-c', script], 5_000);
    const [head = '', ...body] = stdout.split('\r\n\r\n');
    return `${head.split(' ')[1] ?? ''} ${body.join('\r\n\r\n')}`;
  }

  /** What keeps `weft status` from saying healthy. */
  async problems(): Promise<readonly string[]> {
    const status = await askAgent(this.#path('run'), { command: 'status' });
    return (status as AgentStatus).problems;
  }

  /** Whose rules are on record. */
  record(): readonly string[] {
    return readFileSync(this.#path('run', 'proxy-mode'), 'utf8').trim().split('\n');
  }

  cleanup(): string {
    const args = [
      `WEFT_RUN_DIR=${this.#path('run')}`,
      ...[process.execPath, WEFT, 'cleanup', '--force', '--state-dir', this.#path('state')],
    ];
    const { status, stdout, stderr } = this.#lab.node.attempt('env', args, CLEANUP_TIMEOUT_MS);
    if (status !== 0) throw new Error(`cleanup: exit ${status}: ${stderr}`);
    return stdout;
  }

  async end(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }

  async remove(): Promise<void> {
    await this.end();
    this.cleanup();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #path(...names: readonly string[]): string {
    return join(this.#directory, ...names);
  }
}
