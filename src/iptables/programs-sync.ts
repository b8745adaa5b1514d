/** Table `nat` of iptables: there is no stable interface below its programs. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { IPFamily } from '../net/ip.ts';
import { errorCode, IoError } from '../util/errors.ts';

/** A node may have rules of both: those of nf_tables, and those of the older interface. */
export type IptablesVariant = 'nft' | 'legacy';

/** The programs of one node. Each call holds up the thread for milliseconds and is bounded. */
export interface Iptables {
  /** Whether the older interface has a table `nat`. Executes nothing. */
  hasLegacyNat(family: IPFamily): boolean;
  /**
   * The table as iptables-save prints it, of the node's default variant when none is given;
   * undefined when there is no such program. Throws IoError.
   */
  save(family: IPFamily, variant?: IptablesVariant): string | undefined;
  /** What iptables-restore reads, applied whole or not at all beside what is there. Throws IoError. */
  restore(family: IPFamily, text: string, variant?: IptablesVariant): void;
}

/** What is put in front of every command: tests enter a namespace with it. */
export type CommandPrefix = readonly [command: string, ...args: string[]] | readonly [];

const timeoutMs = 10_000;

/** How long the programs wait for each other's lock, seconds. */
const lockSeconds = '5';

/** Up to that long a listing may be, bytes: kube-proxy writes tens of megabytes. */
const maxListingBytes = 256 * 1024 * 1024;

/** A plugin may be executed without any PATH. */
const searchPath = '/usr/sbin:/sbin:/usr/bin:/bin';

const legacyTables: Readonly<Record<IPFamily, string>> = {
  4: '/proc/thread-self/net/ip_tables_names',
  6: '/proc/thread-self/net/ip6_tables_names',
};

const programs: Readonly<Record<IPFamily, string>> = { 4: 'iptables', 6: 'ip6tables' };

/** The programs in PATH, for the namespace of this process. */
export function openIptables(prefix: CommandPrefix = []): Iptables {
  const run = (command: string, args: readonly string[], input = ''): string | undefined => {
    const [program = command, ...rest] = [...prefix, command, ...args];
    const result = spawnSync(program, rest, {
      env: { PATH: process.env['PATH'] ?? searchPath },
      input,
      encoding: 'utf8',
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: maxListingBytes,
    });
    if (isNotInstalled(result)) return undefined;
    if (result.status === 0) return result.stdout;
    throw new IoError(`${command}: ${reasonOf(result)}`);
  };
  /** A variant under its own name; systems with one alone may only have the plain name. */
  const runVariant = (
    { family, variant, action }: Program,
    args: readonly string[] = [],
    input?: string,
  ) => {
    const plain = `${programs[family]}-${action}`;
    const named =
      variant === undefined
        ? undefined
        : run(`${programs[family]}-${variant}-${action}`, args, input);
    return named ?? run(plain, args, input);
  };
  return {
    hasLegacyNat: (family) => {
      return readTables(legacyTables[family], prefix).split('\n').includes('nat');
    },
    save: (family, variant) => runVariant({ family, variant, action: 'save' }, ['-t', 'nat']),
    restore: (family, text, variant) => {
      const args = ['-w', lockSeconds, '--noflush'];
      if (runVariant({ family, variant, action: 'restore' }, args, text) !== undefined) return;
      throw new IoError(`${programs[family]}-restore is not installed on this node`);
    },
  };
}

interface Program {
  readonly family: IPFamily;
  readonly variant: IptablesVariant | undefined;
  readonly action: 'save' | 'restore';
}

/** Empty when the kernel has no such interface. */
function readTables(path: string, [command, ...args]: CommandPrefix): string {
  if (command !== undefined) {
    return spawnSync(command, [...args, 'cat', path], { encoding: 'utf8' }).stdout;
  }
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    if (errorCode(thrown) === 'ENOENT') return '';
    throw thrown;
  }
}

/** 127 is what a prefix says of a command that it does not find. */
function isNotInstalled({ error, status }: SpawnSyncReturns<string>): boolean {
  return errorCode(error) === 'ENOENT' || status === 127;
}

function reasonOf({ error, signal, status, stderr }: SpawnSyncReturns<string>): string {
  if (errorCode(error) === 'ETIMEDOUT') return `no answer within ${timeoutMs / 1000} s`;
  if (error !== undefined) return error.message;
  return stderr.trim() || (signal === null ? `exit status ${status}` : `signal ${signal}`);
}
