import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { wire } from '../../netlink/wire.ts';
import { DEFAULT_CNI } from '../config/default-directories.ts';
import { NETWORK_NAME } from '../fabric/conflist.ts';
import { lockRunDir, whyLocked } from '../run-dir.ts';
import { leftoversOfCni } from './cni-leftovers.ts';
import { bridgeLeftovers, leftoversOfFabric } from './fabric-leftovers.ts';
import {
  CLEANED_COMPONENTS,
  type CleanupOptions,
  type CleanupReport,
  type Leftover,
} from './leftover.ts';
import { leftoversOfPolicy } from './policy-leftovers.ts';
import { leftoversOfProxy } from './proxy-leftovers.ts';
import { leftoverSysctls } from './sysctl-leftovers.ts';

/**
 * Removes what weft left in the kernel and in its directories, and names each. What a living pod needs
 * stays unless it is forced: host ports, masquerade, checks of senders; and Services where no other
 * proxy has rules. Links and address reservations always stay: they are the runtime's to remove, with
 * a DEL. Throws BusyError before anything is touched while an agent runs that may put it back; a dry run
 * says so. Components that this agent does not have are nobody's.
 */
export async function cleanup(options: CleanupOptions): Promise<CleanupReport> {
  const { runDir, isDryRun } = options;
  if (!existsSync(runDir) || isOfNobody(options)) return cleanUnlocked(options);
  if (isDryRun) {
    const refusal = whyLocked(runDir, wire.flock)?.message;
    return { ...(await cleanUnlocked(options)), refusal };
  }
  const lock = lockRunDir(runDir, process.pid, wire.flock);
  try {
    return await cleanUnlocked(options);
  } finally {
    lock.release();
  }
}

function isOfNobody({ served, components, isWhole }: CleanupOptions): boolean {
  return served !== undefined && !isWhole && components.every((name) => !served.includes(name));
}

async function cleanUnlocked(options: CleanupOptions): Promise<CleanupReport> {
  const { components, isWhole, isDryRun, isForced, runDir } = options;
  const removed: string[] = [];
  const kept: string[] = [];
  const left: string[] = [];
  // No side needs anything of another: each is settled alone. What is left empty comes last.
  const sides = [leftoversOfProxy, leftoversOfFabric, leftoversOfPolicy, leftoversOfCni];
  const whole = [leftoversOfAll, leftoverSysctls, emptyDirectories];
  for (const find of isWhole ? [...sides, ...whole] : sides) {
    // Forwarding is for the pods that are left.
    if (find === leftoverSysctls && kept.length > 0) continue;
    for (const { text, isNeeded, usedBy, remove } of find(options)) {
      if (usedBy !== undefined) left.push(`${text}: ${usedBy} needs it`);
      else if (isNeeded && !isForced) kept.push(text);
      else if (isDryRun || (await remove())) removed.push(text);
    }
  }
  const isAll = components.length === CLEANED_COMPONENTS.length && kept.length === 0;
  if (isAll && !isDryRun) rmSync(join(runDir, 'agent.lock'), { force: true });
  return { removed, kept, left };
}

/** The bridge without pods, and the store of its addresses. */
function leftoversOfAll(): readonly Leftover[] {
  const store = join(DEFAULT_CNI.ipamDirectory, NETWORK_NAME);
  return [...bridgeLeftovers(), ...emptyStore(store)];
}

/** Directories that nothing is in. */
function emptyDirectories({ runDir, stateDir }: CleanupOptions): readonly Leftover[] {
  return [stateDir, runDir].flatMap(emptyDirectory);
}

/** Addresses of pods keep the store; its lock and where it went on counting do not. */
function emptyStore(path: string): readonly Leftover[] {
  if (!existsSync(path)) return [];
  const isNeeded = readdirSync(path).some((name) => !/^(?:lock|last_reserved_ip\.\d+)$/.test(name));
  const remove = () => {
    rmSync(path, { recursive: true, force: true });
    removeIfEmpty(dirname(path));
    return true;
  };
  return [{ text: `addresses ${path}`, isNeeded, remove }];
}

function emptyDirectory(path: string): readonly Leftover[] {
  if (!existsSync(path) || readdirSync(path).some((name) => name !== 'agent.lock')) return [];
  const remove = () => {
    rmSync(join(path, 'agent.lock'), { force: true });
    return removeIfEmpty(path);
  };
  return [{ text: path, isNeeded: false, remove }];
}

/** A mount point stays, and so does what somebody has put there meanwhile. */
function removeIfEmpty(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}
