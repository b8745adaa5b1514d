/**
 * How the programs of iptables are executed: there is no stable interface below them. Every run has
 * an end, and a failure says which line is at fault.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { text } from 'node:stream/consumers';
import type { IPFamily } from '../net/ip.ts';
import { errorCode, IoError, toError } from '../util/errors.ts';

/** A node may have rules of both: those of nf_tables, and those of the older interface. */
export type IptablesVariant = 'nft' | 'legacy';

/** What is put in front of every command: tests enter a namespace with it. */
export type CommandPrefix = readonly [command: string, ...args: string[]] | readonly [];

/** One run of a program. */
export interface Command {
  readonly prefix: CommandPrefix;
  readonly name: string;
  readonly args: readonly string[];
  readonly input?: string;
}

/** The program, or what stands in front of it, is not there. */
export class MissingProgramError extends IoError {}

/** How long a run may take that holds up the thread. */
const SYNC_TIMEOUT_MS = 10_000;
/** How long one may take that is waited for: to start with, and for each line it reads. */
const BASE_TIMEOUT_MS = 30_000;
const TIMEOUT_PER_LINE_MS = 2;
/** Seconds to wait for others that hold the lock of the legacy interface. */
const LOCK_WAIT = ['-w', '5'];
/** A plugin may be executed without any PATH. */
const SEARCH_PATH = '/usr/sbin:/sbin:/usr/bin:/bin';
/** Up to that long a listing may be, bytes: kube-proxy writes tens of megabytes. */
const MAX_LISTING_BYTES = 256 * 1024 * 1024;
/** What a prefix says of a command that it does not find. */
const NOT_FOUND = 127;

/** `ip6tables-nft`: the stem is `tables` with or without the variant. */
export function programName(family: IPFamily, stem: string): string {
  return `${family === 4 ? 'ip' : 'ip6'}${stem}`;
}

/** Prints one table, or all of them. */
export function saveCommand(prefix: CommandPrefix, program: string, table?: string): Command {
  return {
    prefix,
    name: `${program}-save`,
    args: table === undefined ? [] : ['-t', table],
  };
}

/** Adds to what is there; each table of the text is applied whole or not at all. */
export function restoreCommand(prefix: CommandPrefix, program: string, input: string): Command {
  return { prefix, name: `${program}-restore`, args: [...LOCK_WAIT, '--noflush'], input };
}

/** Prints one chain, each rule with its counters. */
export function listCommand(
  prefix: CommandPrefix,
  program: string,
  { table, chain }: { readonly table: string; readonly chain: string },
): Command {
  return { prefix, name: program, args: [...LOCK_WAIT, '-t', table, '-v', '-S', chain] };
}

/** What it prints; nothing waits on the thread meanwhile. Throws IoError, MissingProgramError among them. */
export async function runCommand(
  command: Command,
  onStart: (child: ChildProcess) => void = () => {},
): Promise<string> {
  const { input = '' } = command;
  const timeoutMs = BASE_TIMEOUT_MS + TIMEOUT_PER_LINE_MS * countLines(input);
  const signal = AbortSignal.timeout(timeoutMs);
  const [program, args] = wordsOf(command);
  const child = spawn(program, args, { env: environment(), signal, killSignal: 'SIGKILL' });
  onStart(child);
  // A program that ends before it has read everything says why by its status.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  try {
    const outputs = [text(child.stdout), text(child.stderr)] as const;
    const [status, stdout, stderr] = await Promise.all([statusOf(child), ...outputs]);
    return outputOf(command, { status, stdout, stderr });
  } catch (thrown) {
    if (thrown instanceof IoError) throw thrown;
    throw failureOf(command, toError(thrown), signal.aborted ? timeoutMs : undefined);
  }
}

/** The same while the thread waits. */
export function runCommandSync(command: Command): string {
  const [program, args] = wordsOf(command);
  const { error, ...result } = spawnSync(program, args, {
    env: environment(),
    input: command.input ?? '',
    encoding: 'utf8',
    timeout: SYNC_TIMEOUT_MS,
    killSignal: 'SIGKILL',
    maxBuffer: MAX_LISTING_BYTES,
  });
  if (error === undefined) return outputOf(command, result);
  const isLate = errorCode(error) === 'ETIMEDOUT';
  throw failureOf(command, error, isLate ? SYNC_TIMEOUT_MS : undefined);
}

function wordsOf({ prefix, name, args }: Command): [program: string, args: readonly string[]] {
  const [program = name, ...rest] = [...prefix, name, ...args];
  return [program, rest];
}

function environment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'] ?? SEARCH_PATH };
}

async function statusOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
}

interface Ended {
  /** Null when a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function outputOf({ name, input = '' }: Command, { status, stdout, stderr }: Ended): string {
  if (status === 0) return stdout;
  if (status === NOT_FOUND) throw new MissingProgramError(`${name} is not installed`);
  throw new IoError(`${name}: ${faultText(stderr, input) || `exit status ${status}`}`);
}

function failureOf({ name }: Command, cause: Error, lateMs: number | undefined): IoError {
  if (errorCode(cause) === 'ENOENT') return new MissingProgramError(`${name} is not installed`);
  const reason = lateMs === undefined ? cause.message : `no answer within ${lateMs / 1000} s`;
  return new IoError(`${name}: ${reason}`, { cause });
}

/** What the program complains of, with the line it names; some find faults at COMMIT only. */
function faultText(stderr: string, input: string): string {
  const complaint = stderr
    .replace(/^Try `.*$/m, '')
    .trim()
    .replace(/\s*\n\s*/g, '; ');
  const number = /\bline:? (\d+)/.exec(complaint)?.[1];
  const line = number === undefined ? 'COMMIT' : input.split('\n')[Number(number) - 1];
  return line === 'COMMIT' || line === undefined ? complaint : `${complaint}: ${line}`;
}

function countLines(input: string): number {
  let count = 0;
  for (let at = input.indexOf('\n'); at >= 0; at = input.indexOf('\n', at + 1)) count += 1;
  return count;
}
