/** The real command line in the lab's node namespace, with the Service proxy run by an agent. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProxyLab } from '../proxy-lab.ts';
import { type RunningProgram, startIn } from '../workloads.ts';
import { IPV4, IPV6 } from './net.ts';

const CLI = new URL('../../../src/cli/weft.ts', import.meta.url).pathname;

export class LabAgent {
  readonly #lab: ProxyLab;
  readonly #directory = mkdtempSync(join(tmpdir(), 'weft-agent-'));
  #program: RunningProgram | undefined;

  constructor(lab: ProxyLab) {
    this.#lab = lab;
    mkdirSync(this.#path('objects'));
  }

  /** Writes an object for the agent to read, or to see change. */
  writeObject(name: string, object: object): void {
    writeFileSync(join(this.#path('objects'), `${name}.json`), JSON.stringify(object));
  }

  get runDir(): string {
    return this.#path('run');
  }

  /** Starts the agent and waits until it has read the objects; `change` is of the proxy's settings. */
  async start(minSyncPeriod = '0s', change: object = {}): Promise<RunningProgram> {
    const clusterCIDR = [IPV4, IPV6].map((net) => net.clusterCIDR).join();
    const proxy = {
      mode: 'nftables',
      clusterCIDR,
      healthzBindAddress: '127.0.0.1:0',
      metricsBindAddress: '127.0.0.1:0',
      nftables: { minSyncPeriod, syncPeriod: '4h' },
      ...change,
    };
    const config = { stateDir: this.#path('state'), logLevel: 'debug', proxy };
    writeFileSync(this.#path('weft.yaml'), JSON.stringify(config));
    const flags = [
      ...['--components', 'proxy', '--node-name', 'node-a', '--config', this.#path('weft.yaml')],
      ...['--manifests', this.#path('objects'), '--run-dir', this.runDir],
    ];
    const command = [process.execPath, CLI, 'agent', ...flags];
    const { path } = this.#lab.node;
    this.#program = await startIn(path, command, 'services and endpoints read');
    return this.#program;
  }

  /** Runs `weft <words>` against this agent to its end. */
  run(...words: readonly string[]) {
    return this.#lab.node.attempt(process.execPath, [CLI, ...words, ...this.#runDir()]);
  }

  /** Starts `weft <words>`. */
  startCommand(...words: readonly string[]): Promise<RunningProgram> {
    const command = [process.execPath, CLI, ...words, ...this.#runDir()];
    return startIn(this.#lab.node.path, command, undefined);
  }

  async end(signal?: NodeJS.Signals): Promise<void> {
    await this.#program?.end(signal);
  }

  async remove(): Promise<void> {
    await this.end();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }

  #runDir(): readonly string[] {
    return ['--run-dir', this.runDir];
  }
}
