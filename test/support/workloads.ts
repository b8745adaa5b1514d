/** Servers and clients that tests and the demo run inside namespaces. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import type { TestNetns } from './netns.ts';

const SERVER = new URL('workloads/server.ts', import.meta.url).pathname;
const PROBE = new URL('workloads/probe.ts', import.meta.url).pathname;
/** For one that hangs: under user-mode Linux an agent takes most of a minute. */
const START_TIMEOUT_MS = 120_000;
/** A program that waits for its last answers is not cut short on a busy machine. */
const END_TIMEOUT_MS = 30_000;
/** So long the last output may follow the exit; a child of the program may hold the pipe for good. */
const LAST_OUTPUT_MS = 2_000;

export interface ProbeResult {
  /** Connections answered, by server name. */
  readonly servers: Readonly<Record<string, number>>;
  /** Connections answered, by the peer address the server saw. */
  readonly peers: Readonly<Record<string, number>>;
  /** Failures by error code; `TIMEOUT` when nobody answered. */
  readonly errors: Readonly<Record<string, number>>;
  readonly elapsedMs: number;
}

export interface ProbeTarget {
  readonly protocol?: 'tcp' | 'udp';
  readonly host: string;
  readonly port: number;
  readonly count?: number;
  readonly parallel?: number;
  readonly timeoutMs?: number;
}

/** A program that runs until ended; `output` is everything it printed so far. */
export interface RunningProgram {
  readonly pid: number;
  output(): string;
  /** Its exit code, once it has ended by itself or otherwise. */
  readonly ended: Promise<number | null>;
  /** Sends a signal and waits for the end; SIGKILL follows when it takes over 30 s. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Runs a command in a namespace path and waits until it has printed `ready`. */
export async function startIn(
  netnsPath: string,
  command: readonly string[],
  ready: string | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<RunningProgram> {
  const child = spawn('nsenter', [`--net=${netnsPath}`, ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment,
  });
  let output = '';
  const isReady = Promise.withResolvers<void>();
  const collect = (bytes: Buffer) => {
    output += bytes.toString();
    if (ready !== undefined && output.includes(ready)) isReady.resolve();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const closed = once(child, 'close');
  const exited = once(child, 'exit').then(async () => {
    await Promise.race([closed, wait(LAST_OUTPUT_MS, undefined, { ref: false })]);
    return child.exitCode;
  });
  if (ready === undefined) isReady.resolve();
  const timer = setTimeout(
    () => isReady.reject(new Error(`${command.join(' ')} did not print "${ready}": ${output}`)),
    START_TIMEOUT_MS,
  );
  child.once('exit', (code) =>
    isReady.reject(new Error(`${command.join(' ')} ended with ${code}: ${output}`)),
  );
  await isReady.promise.finally(() => clearTimeout(timer));
  return {
    pid: child.pid ?? 0,
    output: () => output,
    ended: exited,
    async end(signal = 'SIGTERM') {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      child.kill(signal);
      const force = setTimeout(() => child.kill('SIGKILL'), END_TIMEOUT_MS);
      await exited;
      clearTimeout(force);
      return child.exitCode;
    },
  };
}

/** Starts a server that answers `<name> <peer address>` over TCP and UDP on `port`. */
export function startServer(
  netnsPath: string,
  name: string,
  port: number,
): Promise<RunningProgram> {
  return startIn(netnsPath, [process.execPath, SERVER, name, String(port)], 'ready\n');
}

/** Makes new connections from inside a namespace and counts who answered. */
export async function probe(netnsPath: string, target: ProbeTarget): Promise<ProbeResult> {
  const { protocol = 'tcp', host, port, count = 1, parallel = 8, timeoutMs = 2000 } = target;
  const words = [protocol, host, port, count, parallel, timeoutMs].map(String);
  const command = [process.execPath, PROBE, ...words];
  const child = spawn('nsenter', [`--net=${netnsPath}`, ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (bytes: Buffer) => {
    output += bytes.toString();
  });
  await once(child, 'close');
  // The probe prints exactly this shape.
  return JSON.parse(output) as ProbeResult;
}

/** Total of a count record. */
export function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** SYNs that a namespace had to send twice: a gap, though a short one, in which no rule answered. */
export function repeatedSyns({ run }: Pick<TestNetns, 'run'>): number {
  const [names = '', values = ''] = run('cat', '/proc/net/netstat')
    .split('\n')
    .filter((line) => line.startsWith('TcpExt:'));
  return Number(values.split(' ')[names.split(' ').indexOf('TCPSynRetrans')]);
}
