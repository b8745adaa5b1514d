/** A node with an agent that takes care of attachments, and what happens to both. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { CniTestNode } from '../support/cni-node.ts';
import type { TestNetns } from '../support/netns.ts';

export type AgentEvent = {
  readonly ready?: true;
  readonly leaked?: string;
  readonly suspected?: number;
  readonly repaired?: string;
  readonly differed?: number;
  readonly done?: string;
  readonly bypasses?: readonly string[];
};

export interface AgentSettings {
  readonly graceMs?: number;
  readonly sweepMs?: number;
  readonly repairMs?: number;
  readonly criSocket?: string;
  readonly confDirectory?: string;
  /** Its node has policies. */
  readonly policy?: boolean;
  /** Another one than `agentProgram`. */
  readonly program?: string;
}

export const agentProgram = new URL('./cni-upkeep-agent.ts', import.meta.url).pathname;

export class UpkeepNode extends CniTestNode {
  readonly events: AgentEvent[] = [];
  readonly #agents: ChildProcess[] = [];
  log = '';

  conf(more: object = {}) {
    return {
      cniVersion: '1.1.0',
      name: 'net1',
      type: 'weft',
      bridge: 'cni0',
      isGateway: true,
      ipMasq: true,
      ipam: {
        type: 'host-local',
        dataDir: this.dataDir,
        ranges: [[{ subnet: '10.22.0.0/24' }], [{ subnet: 'fd22::/64' }]],
      },
      ...more,
    };
  }

  /** ADD by the standalone; gives the addresses. */
  attach(pod: TestNetns, id: string, more: object = {}): string[] {
    const result = this.result({ command: 'ADD', id, netns: pod, stdin: this.conf(more) });
    // The result of an ADD in version 1.1.0.
    const { ips = [] } = result as { ips?: { address: string }[] };
    return ips.map(({ address }) => address.replace(/\/.*/, ''));
  }

  detach(id: string, pod?: TestNetns, more: object = {}): void {
    this.result({ command: 'DEL', id, netns: pod ?? '', stdin: this.conf(more) });
  }

  async startAgent(settings: AgentSettings = {}): Promise<void> {
    const { graceMs, sweepMs, repairMs, criSocket, confDirectory } = settings;
    const agent = this.host.start(process.execPath, [settings.program ?? agentProgram], {
      env: {
        ...process.env,
        WEFT_RUN_DIR: this.runDir,
        WEFT_TEST_IPAM_DIR: this.dataDir,
        ...(graceMs === undefined ? {} : { WEFT_TEST_GRACE_MS: String(graceMs) }),
        ...(sweepMs === undefined ? {} : { WEFT_TEST_SWEEP_MS: String(sweepMs) }),
        ...(repairMs === undefined ? {} : { WEFT_TEST_REPAIR_MS: String(repairMs) }),
        ...(settings.policy === true ? { WEFT_TEST_POLICY: '1' } : {}),
        ...(criSocket === undefined ? {} : { WEFT_TEST_CRI: criSocket }),
        ...(confDirectory === undefined ? {} : { WEFT_TEST_CONF_DIR: confDirectory }),
      },
    });
    this.#agents.push(agent);
    agent.stderr?.on('data', (chunk: Buffer) => {
      this.log += chunk.toString();
    });
    const lines = createInterface({ input: agent.stdout! });
    lines.on('line', (line) => void this.events.push(JSON.parse(line)));
    await this.until(() => this.events.some(({ ready }) => ready === true), 10_000);
  }

  /** Has a program that reads its stdin do something, and waits until it has. */
  async tellAgent(line: string): Promise<void> {
    const before = this.count('done', line);
    this.#agents.at(-1)?.stdin?.write(`${line}\n`);
    await this.until(() => this.count('done', line) > before);
  }

  /** What the kernel calls the agent's process. */
  agentName(): string {
    return readFileSync(`/proc/${this.#agents.at(-1)?.pid}/comm`, 'utf8').trim();
  }

  async stopAgent(): Promise<void> {
    for (const agent of this.#agents.splice(0)) {
      const ended = new Promise((resolve) => agent.once('exit', resolve));
      agent.kill('SIGKILL');
      await ended;
    }
    this.events.length = 0;
  }

  /**
   * Waits until it holds; gives the milliseconds it took. Time in which somebody on the machine waited for
   * a processor is not counted, up to a limit: what an agent that gets none does is not its own.
   */
  async until(holds: () => boolean, timeoutMs = 5_000): Promise<number> {
    const [startedAt, stalledBefore] = [performance.now(), stalledMs()];
    const elapsedMs = () => performance.now() - startedAt;
    const countedMs = () => {
      return elapsedMs() - Math.min(stalledMs() - stalledBefore, MOST_STALLED_MS);
    };
    while (!holds()) {
      if (countedMs() > timeoutMs) {
        throw new Error(`not within ${timeoutMs} ms; ${JSON.stringify(this.events)}\n${this.log}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return countedMs();
  }

  nft(...args: string[]): string {
    return this.host.run('nft', ...args);
  }

  count(kind: keyof AgentEvent, value: unknown): number {
    return this.events.filter((event) => event[kind] === value).length;
  }
}

const MOST_STALLED_MS = 15_000;

/** Since boot, by the kernel's account (Documentation/accounting/psi.rst); 0 where it keeps none. */
function stalledMs(): number {
  const file = '/proc/pressure/cpu';
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return Number(/^some .*total=(\d+)/m.exec(text)?.[1] ?? 0) / 1_000;
}

/** When this boot began, seconds since the epoch. */
export function bootedAt(): number {
  return Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))![1]);
}
