/**
 * ADD and DEL in random order, through agent and standalone, with SIGKILL at random instants of
 * whoever serves the call and now and then of the agent. Afterwards every container is deleted once
 * more, as a runtime does, and everything left on the node is counted.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CNI_BINARY, INSTALL_ROOT, WEFT_BINARY } from '../support/cluster.ts';
import { fullNetwork, leftovers } from '../support/leftovers.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';
import { randomStream } from './random.ts';

const CONTAINERS = 6;
const KILL_WITHIN_MS = 40;
const AGENT_KILL_SHARE = 0.03;
const KILL_SHARE = 0.5;
const STANDALONE_SHARE = 0.3;
/** What the shim executes when nobody answers; here it also runs beside a living agent. */
const STANDALONE = ['bin/node', 'lib/weft-cni.cjs'].map((file) =>
  join(INSTALL_ROOT, 'opt/weft', file),
);

export interface KillReport {
  readonly rounds: number;
  readonly killed: number;
  readonly agentsKilled: number;
  /** Calls that were not killed and failed although they had to succeed. */
  readonly failures: readonly string[];
  /** What was left on the node after the last DEL of every container, by kind. */
  readonly leaked: readonly string[];
}

/** Plays `rounds` rounds with faults drawn from `seed`. */
export async function playKillRounds(rounds: number, seed: number): Promise<KillReport> {
  const game = new KillGame(seed);
  try {
    return await game.play(rounds);
  } finally {
    await game.remove();
  }
}

class KillGame {
  readonly #random: () => number;
  readonly #node = createNetns('kill');
  readonly #directory = mkdtempSync(join(tmpdir(), 'weft-kill-'));
  readonly #runDir = join(this.#directory, 'run');
  readonly #dataDir = join(this.#directory, 'networks');
  readonly #pods: readonly TestNetns[];
  readonly #failures: string[] = [];
  #agent: RunningProgram | undefined;
  #killed = 0;
  #agentsKilled = 0;

  constructor(seed: number) {
    this.#random = randomStream(seed);
    mkdirSync(this.#runDir, { mode: 0o700 });
    this.#pods = Array.from({ length: CONTAINERS }, () => createNetns('killpod'));
  }

  async play(rounds: number): Promise<KillReport> {
    await this.#startAgent();
    for (let round = 0; round < rounds; round++) await this.#playOne();
    for (const [index] of this.#pods.entries()) {
      const { status, stdout } = await this.#call('DEL', index, [CNI_BINARY]);
      if (status !== 0) this.#failures.push(`last DEL of ${index}: ${stdout}`);
    }
    return {
      rounds,
      killed: this.#killed,
      agentsKilled: this.#agentsKilled,
      failures: this.#failures,
      leaked: leftovers({
        host: this.#node,
        pods: this.#pods,
        runDir: this.#runDir,
        dataDir: this.#dataDir,
      }),
    };
  }

  async remove(): Promise<void> {
    await this.#agent?.end('SIGKILL');
    for (const pod of this.#pods) pod.remove();
    this.#node.remove();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #playOne(): Promise<void> {
    if (this.#random() < AGENT_KILL_SHARE) await this.#restartAgent();
    const index = Math.floor(this.#random() * CONTAINERS);
    const verb = this.#random() < 0.6 ? 'ADD' : 'DEL';
    const plugin = this.#random() < STANDALONE_SHARE ? STANDALONE : [CNI_BINARY];
    const killAfterMs = this.#random() < KILL_SHARE ? this.#random() * KILL_WITHIN_MS : undefined;
    const { status, stdout, wasKilled } = await this.#call(verb, index, plugin, killAfterMs);
    if (wasKilled) this.#killed++;
    // An ADD may find the interface there already; a DEL has no excuse.
    else if (verb === 'DEL' && status !== 0) this.#failures.push(`DEL ${index}: ${stdout}`);
    else if (status !== 0 && !stdout.includes('already exists') && !stdout.includes('allocated')) {
      this.#failures.push(`ADD ${index}: ${stdout}`);
    }
  }

  async #call(verb: string, index: number, plugin: readonly string[], killAfterMs?: number) {
    const child = spawn('nsenter', [`--net=${this.#node.path}`, ...plugin], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: {
        PATH: process.env['PATH'],
        WEFT_RUN_DIR: this.#runDir,
        CNI_COMMAND: verb,
        CNI_CONTAINERID: `container-${index}`,
        CNI_NETNS: this.#pods[index]?.path,
        CNI_IFNAME: 'eth0',
        CNI_PATH: '/nowhere',
      },
    });
    let stdout = '';
    child.stdout.on('data', (bytes: Buffer) => {
      stdout += bytes.toString();
    });
    child.stdin.on('error', () => {});
    child.stdin.end(JSON.stringify(fullNetwork(this.#dataDir, 30_000 + index)));
    const closed = once(child, 'close');
    if (killAfterMs !== undefined) await killLater(child, killAfterMs);
    await closed;
    return { status: child.exitCode, stdout, wasKilled: child.signalCode === 'SIGKILL' };
  }

  async #startAgent(): Promise<void> {
    const flags = ['--components', 'cni', '--run-dir', this.#runDir, '--node-name', 'kill'];
    this.#agent = await startIn(this.#node.path, [WEFT_BINARY, 'agent', ...flags], 'agent started');
  }

  async #restartAgent(): Promise<void> {
    await this.#agent?.end('SIGKILL');
    this.#agentsKilled++;
    await this.#startAgent();
  }
}

async function killLater(child: ChildProcess, afterMs: number): Promise<void> {
  await sleep(afterMs);
  child.kill('SIGKILL');
}
