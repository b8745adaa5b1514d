/** An agent that runs the Service proxy in a throw-away namespace, asked by `weft status`. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { AgentStatus } from '../../src/agent/status/values.ts';
import { createNetns, type TestNetns } from './netns.ts';

const WEFT = join(import.meta.dirname, '../../src/cli/weft.ts');
const WAIT = { timeout: 45_000, interval: 250 };

const OBJECTS = [
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      clusterIP: '172.30.0.10',
      clusterIPs: ['172.30.0.10'],
      ipFamilies: ['IPv4'],
      ports: [{ name: 'http', protocol: 'TCP', port: 80 }],
    },
  },
  {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: 'web-1',
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': 'web' },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
    endpoints: [{ addresses: ['10.1.0.2'], conditions: { ready: true } }],
  },
];

export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class ModeAgent {
  readonly node: TestNetns;
  readonly #directory: string;
  #agent: ChildProcess | undefined;
  #output = '';

  constructor(label: string) {
    this.node = createNetns(label);
    this.#directory = mkdtempSync(join(tmpdir(), 'weft-mode-'));
    mkdirSync(join(this.#directory, 'objects'));
    const objects = OBJECTS.map((object) => JSON.stringify(object)).join('\n---\n');
    writeFileSync(join(this.#directory, 'objects', 'web.yaml'), objects);
  }

  get log(): string {
    return this.#output;
  }

  get runDir(): string {
    return join(this.#directory, 'run');
  }

  /** Starts it and waits until it is healthy. `prefix` is a program that runs another. */
  async start(mode: string, settings: object = {}, prefix: readonly string[] = []): Promise<void> {
    this.#output = '';
    const config = this.#configure(mode, settings);
    const [command = '', ...args] = [...prefix, process.execPath, WEFT, 'agent'];
    const agent = this.node.start(command, [...args, '--config', config], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    agent.stderr?.on('data', (chunk) => {
      this.#output += chunk;
    });
    this.#agent = agent;
    // Asking costs more than starting where the machine is slow: not before there is an answer.
    await expect.poll(() => this.#output, WAIT).toContain('services and endpoints read');
    await expect.poll(() => this.ask().stdout, WAIT).toMatch(/: healthy\n/);
  }

  async stop(): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    if (agent === undefined || agent.exitCode !== null) return;
    const ended = new Promise((resolve) => agent.once('exit', resolve));
    agent.kill('SIGTERM');
    await ended;
  }

  /** Runs it to its end: for starts that fail. `prefix` is a program that runs another. */
  runToEnd(mode: string, prefix: readonly string[] = [], settings: object = {}): Ended {
    const config = this.#configure(mode, settings);
    const [command = '', ...args] = [...prefix, process.execPath, WEFT, 'agent'];
    return this.node.attempt(command, [...args, '--config', config]);
  }

  /** `weft status` with these flags. */
  ask(...flags: readonly string[]): Ended {
    return this.node.attempt(process.execPath, [
      ...[WEFT, 'status', '--run-dir', this.runDir],
      ...flags,
    ]);
  }

  status(): AgentStatus {
    return JSON.parse(this.ask('--output', 'json').stdout);
  }

  async remove(): Promise<void> {
    await this.stop();
    this.node.remove();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #configure(mode: string, settings: object): string {
    const file = join(this.#directory, 'weft.yaml');
    const config = {
      components: ['proxy'],
      nodeName: 'node-a',
      manifests: join(this.#directory, 'objects'),
      runDir: this.runDir,
      stateDir: join(this.#directory, 'state'),
      proxy: { mode, clusterCIDR: '10.0.0.0/8' },
      ...settings,
    };
    writeFileSync(file, JSON.stringify(config));
    return file;
  }
}

/** Where a program is that the test runs without its directory in the path. */
export function pathOf(program: string): string {
  return execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
}
