/**
 * The programs iptables-save and iptables-restore for large rule sets: nothing waits on the thread
 * while they run, and every run is bounded.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import type { IPFamily } from '../net/ip.ts';
import { errorCode, IoError, toError } from '../util/errors.ts';
import type { CommandPrefix, IptablesVariant } from './programs-sync.ts';

/** The programs of one variant and address family. */
export interface IptablesPrograms {
  readonly variant: IptablesVariant;
  /** One table, or all of them, as iptables-save prints them. Throws IoError. */
  save(table?: 'nat'): Promise<string>;
  /**
   * Adds to what is there; each table of the text is applied whole or not at all. Throws IoError
   * that quotes the line at fault.
   */
  restore(input: string): Promise<void>;
  /**
   * One chain as `-S` prints it, each rule with its counters (`-c <packets> <bytes>`). Throws IoError,
   * also when there is no such chain.
   */
  listCounted(table: string, chain: string): Promise<string>;
  /** Whether a transaction in NFNLGRP_NFTABLES with this netlink port was one of these programs'. */
  isOwnPort(portId: number): boolean;
}

/** What is there of the programs, by variant: their name without family and action. */
export type InstalledPrograms = ReadonlyMap<IptablesVariant, string>;

/** The end of an error message. */
export const NOT_INSTALLED = 'is not installed on this node: install the package iptables';

/** How long one run may take: to start with, and for each line it reads. */
const BASE_TIMEOUT_MS = 30_000;
const TIMEOUT_PER_LINE_MS = 2;
/** Seconds to wait for others that hold the lock of the legacy interface. */
const LOCK_WAIT = ['-w', '5'];
const SEARCH_PATH = '/usr/sbin:/sbin:/usr/bin:/bin';
/** Runs whose netlink ports, which are their process ids, may still turn up in notifications. */
const REMEMBERED_RUNS = 64;
const NOT_FOUND = 127;

/** Finds the programs; those named after no variant are asked which they are. */
export async function findIptables(prefix: CommandPrefix = []): Promise<InstalledPrograms> {
  const found = new Map<IptablesVariant, string>();
  for (const variant of ['nft', 'legacy'] as const) {
    const isThere = await versionOf(prefix, `iptables-${variant}`);
    if (isThere !== undefined) found.set(variant, `tables-${variant}`);
  }
  if (found.size > 0) return found;
  const version = await versionOf(prefix, 'iptables');
  if (version === undefined) return found;
  return found.set(version.includes('nf_tables') ? 'nft' : 'legacy', 'tables');
}

/** Opens the programs of a variant that findIptables found. */
export function openIptablesPrograms(
  installed: InstalledPrograms,
  variant: IptablesVariant,
  family: IPFamily,
  prefix: CommandPrefix = [],
): IptablesPrograms {
  const stem = installed.get(variant);
  if (stem === undefined) {
    throw new IoError(`iptables of variant ${variant} ${NOT_INSTALLED}`);
  }
  const program = `${family === 4 ? 'ip' : 'ip6'}${stem}`;
  const save = { prefix, name: `${program}-save` };
  const restore = { prefix, name: `${program}-restore`, args: [...LOCK_WAIT, '--noflush'] };
  const ownPorts: number[] = [];
  const note = (child: ChildProcess) => {
    ownPorts.push(child.pid ?? 0);
    if (ownPorts.length > REMEMBERED_RUNS) ownPorts.shift();
  };
  return {
    variant,
    save: (table) => run({ ...save, args: table === undefined ? [] : ['-t', table] }, '', note),
    restore: async (input) => {
      await run(restore, input, note);
    },
    listCounted: (table, chain) => {
      const args = [...LOCK_WAIT, '-t', table, '-v', '-S', chain];
      return run({ prefix, name: program, args }, '', note);
    },
    isOwnPort: (portId) => ownPorts.includes(portId),
  };
}

/** What the program says of itself; undefined when it is not installed. */
async function versionOf(prefix: CommandPrefix, program: string): Promise<string | undefined> {
  try {
    return await run({ prefix, name: `${program}-restore`, args: ['--version'] }, '');
  } catch (thrown) {
    if (thrown instanceof MissingProgramError) return undefined;
    throw thrown;
  }
}

class MissingProgramError extends IoError {}

interface Command {
  readonly prefix: CommandPrefix;
  readonly name: string;
  readonly args: readonly string[];
}

/** What it prints. Throws IoError, MissingProgramError among them. */
async function run(
  { prefix, name, args }: Command,
  input: string,
  onStart: (child: ChildProcess) => void = () => {},
): Promise<string> {
  const [program = name, ...rest] = [...prefix, name, ...args];
  const timeoutMs = BASE_TIMEOUT_MS + TIMEOUT_PER_LINE_MS * countLines(input);
  const signal = AbortSignal.timeout(timeoutMs);
  const child = spawn(program, rest, {
    env: { PATH: process.env['PATH'] ?? SEARCH_PATH },
    signal,
    killSignal: 'SIGKILL',
  });
  onStart(child);
  // A program that ends before it has read everything says why by its status.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  try {
    const outputs = [text(child.stdout), text(child.stderr)] as const;
    const [status, stdout, stderr] = await Promise.all([statusOf(child), ...outputs]);
    if (status === 0) return stdout;
    if (status === NOT_FOUND) throw new MissingProgramError(`${name} is not installed`);
    throw new IoError(`${name}: ${faultText(stderr, input) || `exit status ${status}`}`);
  } catch (thrown) {
    if (thrown instanceof IoError) throw thrown;
    if (errorCode(thrown) === 'ENOENT') throw new MissingProgramError(`${name} is not installed`);
    const late = `no answer within ${timeoutMs / 1000} s`;
    const reason = signal.aborted ? late : toError(thrown).message;
    throw new IoError(`${name}: ${reason}`, { cause: thrown });
  }
}

async function statusOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
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
