/** The sockets of all pods and hosts of a policy lab: one process, so that a whole matrix is tried at once. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Traffic } from '../../src/policy/ports.ts';
import { compileC } from './compile-c.ts';

export interface PacketProbe extends Traffic {
  /** By its position among the namespaces. */
  readonly from: number;
  readonly host: string;
}

/** The position of who answered; `silent`: nobody did in time. */
export type PacketOutcome =
  | { readonly kind: 'answered'; readonly by: number }
  | { readonly kind: 'echo' | 'reset' | 'prohibited' | 'silent' | 'closed' }
  | { readonly kind: 'error'; readonly errno: number };

export interface StreamCount {
  readonly bytes: number;
  /** The other end, or a reset, has ended it. */
  readonly isClosed: boolean;
}

const SOURCES = new URL('policy-pods/', import.meta.url).pathname;

export class PodSockets {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: Interface) {
    this.#child = child;
    this.#lines = lines[Symbol.asyncIterator]();
  }

  /** Answers on these ports in each namespace. */
  static async start(netnsPaths: readonly string[], ports: readonly number[]): Promise<PodSockets> {
    const directory = mkdtempSync(join(tmpdir(), 'weft-pods-'));
    try {
      const sources = readdirSync(SOURCES).filter((name) => name.endsWith('.c'));
      const program = join(directory, 'policy-pods');
      compileC(
        program,
        sources.map((name) => join(SOURCES, name)),
      );
      const child = spawn(program, [ports.join(), ...netnsPaths], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      const sockets = new PodSockets(child, createInterface({ input: child.stdout }));
      const line = await sockets.#line();
      if (line !== 'ready') throw new Error(`policy-pods said ${line}`);
      return sockets;
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  /** Tries all of them at the same time; who has not answered after so long is silent. */
  async try(probes: readonly PacketProbe[], ms: number): Promise<readonly PacketOutcome[]> {
    if (probes.length === 0) return [];
    this.#write([...probes.map(words), `try ${ms}`]);
    return (await this.#line()).split(' ').map(outcomeOf);
  }

  /** Has data pushed to it from now on. */
  openStream(probe: PacketProbe): void {
    this.#write([`stream ${words(probe)}`]);
  }

  /** What came of each stream until now, in the order in which they were opened. */
  async streams(): Promise<readonly StreamCount[]> {
    this.#write(['streams']);
    const texts = (await this.#line()).split(' ').filter((text) => text !== '');
    return texts.map((text) => {
      const [bytes = '', end] = text.split('/');
      return { bytes: Number(bytes), isClosed: end !== undefined };
    });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }

  #write(lines: readonly string[]): void {
    this.#child.stdin?.write(`${lines.join('\n')}\n`);
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('policy-pods has ended');
    return value;
  }
}

function words({ from, protocol, host, port }: PacketProbe): string {
  return `${protocol.toLowerCase()} ${from} ${host} ${port}`;
}

function outcomeOf(text: string): PacketOutcome {
  switch (text) {
    case 'echo':
    case 'reset':
    case 'prohibited':
    case 'silent':
    case 'closed':
      return { kind: text };
    default:
      if (text.startsWith('errno-')) return { kind: 'error', errno: Number(text.slice(6)) };
      return { kind: 'answered', by: Number(text) };
  }
}
