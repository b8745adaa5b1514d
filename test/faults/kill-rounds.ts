/**
 * ADD and DEL in random order, several at once, through agent and standalone, with SIGKILL at random
 * instants of whoever asks and, in the middle of such calls, of the agent. As with a runtime no two calls
 * are about one container at once. Afterwards every container is deleted once more, and everything left on
 * the node is counted.
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
import { inParallel } from './in-parallel.ts';
import { randomStream } from './random.ts';

const CONTAINERS = 6;
/** Calls at once. */
const LANES = 3;
const KILL_WITHIN_MS = 40;
/** Of the calls, those that an agent is killed during, or during one of the next. */
const AGENT_KILL_SHARE = 0.1;
const PATIENT_SHARE = 0.8;
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
  /** Containers that no call is about. */
  readonly #idle: number[] = Array.from({ length: CONTAINERS }, (_, index) => index);
  #agent: RunningProgram | undefined;
  #restart: Promise<void> | undefined;
  #killed = 0;
  #agentsKilled = 0;

  constructor(seed: number) {
    this.#random = randomStream(seed);
    mkdirSync(this.#runDir, { mode: 0o700 });
    this.#pods = Array.from({ length: CONTAINERS }, () => createNetns('killpod'));
  }

  async play(rounds: number): Promise<KillReport> {
    await this.#startAgent();
    await inParallel(rounds, LANES, () => this.#playOne());
    await this.#restart;
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
    if (this.#random() < AGENT_KILL_SHARE) this.#restart ??= this.#restartAgent();
    // Most calls wait until there is somebody to be killed again; some meet nobody.
    else if (this.#random() < PATIENT_SHARE) await this.#restart;
    const [index = 0] = this.#idle.splice(Math.floor(this.#random() * this.#idle.length), 1);
    await this.#playWith(index);
    this.#idle.push(index);
  }

  async #playWith(index: number): Promise<void> {
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

  /** Kills the agent while calls are under way; those that come meanwhile meet nobody. */
  async #restartAgent(): Promise<void> {
    await sleep(this.#random() * KILL_WITHIN_MS);
    await this.#agent?.end('SIGKILL');
    this.#agentsKilled++;
    await this.#startAgent();
    this.#restart = undefined;
  }
}

async function killLater(child: ChildProcess, afterMs: number): Promise<void> {
  await sleep(afterMs);
  child.kill('SIGKILL');
}
