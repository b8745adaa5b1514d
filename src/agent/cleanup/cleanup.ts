import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { wire } from '../../netlink/wire.ts';
import { lockRunDir } from '../run-dir.ts';
import { leftoversOfCni } from './cni-leftovers.ts';
import type { CleanupOptions, CleanupReport } from './leftover.ts';
import { leftoversOfProxy } from './proxy-leftovers.ts';

/**
 * Removes what weft left in the kernel and in its directories, and names each. What a living pod needs
 * stays unless it is forced: host ports, masquerade, checks of senders; and Services where no other
 * proxy has rules. Links and address reservations always stay: they are the runtime's to remove, with
 * a DEL. Throws BusyError before anything is touched while an agent runs, because it would put
 * everything back.
 */
export async function cleanup(options: CleanupOptions): Promise<CleanupReport> {
  const { runDir, isDryRun } = options;
  if (isDryRun || !existsSync(runDir)) return cleanUnlocked(options);
  const lock = lockRunDir(runDir, process.pid, wire.flock);
  try {
    return await cleanUnlocked(options);
  } finally {
    lock.release();
  }
}

async function cleanUnlocked(options: CleanupOptions): Promise<CleanupReport> {
  const { components, isDryRun, isForced, runDir } = options;
  const removed: string[] = [];
  const kept: string[] = [];
  // The CNI side needs nothing of the proxy's and the other way round: each is settled alone.
  for (const find of [leftoversOfProxy, leftoversOfCni]) {
    for (const { text, isNeeded, remove } of find(options)) {
      if (isNeeded && !isForced) kept.push(text);
      else if (isDryRun || (await remove())) removed.push(text);
    }
  }
  const isAll = components.length === 2 && kept.length === 0;
  if (isAll && !isDryRun) rmSync(join(runDir, 'agent.lock'), { force: true });
  return { removed, kept };
}
