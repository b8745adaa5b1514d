import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { wire } from '../netlink/wire.ts';
import { NftablesConnection } from '../nftables/connection.ts';
import type { Table } from '../nftables/model.ts';
import { tableText } from '../nftables/text.ts';
import { Transaction } from '../nftables/transaction.ts';
import { lockRunDir } from './run-dir.ts';

/** Every table of weft's begins so; nobody else's does. */
const TABLE_PREFIX = 'weft-';
const OUR_FAMILIES: readonly string[] = ['ip', 'ip6', 'inet', 'bridge'];

/** Belong to pods, which live on: the next agent repairs and sweeps by them. */
const KEPT_ENTRIES: readonly string[] = ['attachments', 'adding', 'hostports', 'released'];

/**
 * Removes weft's tables and its own files in the run directory, and names each. Links, address
 * reservations and records of pods stay: they are the runtime's to remove, with a DEL. Throws
 * BusyError before anything is touched while an agent runs, because it would put everything back.
 */
export function cleanup(runDir: string): readonly string[] {
  if (!existsSync(runDir)) return removeTables();
  const lock = lockRunDir(runDir, process.pid, wire.flock);
  try {
    return [...removeTables(), ...clear(runDir)];
  } finally {
    lock.release();
  }
}

function removeTables(): string[] {
  const connection = NftablesConnection.open();
  try {
    const tables = connection.tables().filter(isOurs);
    for (const table of tables) {
      const transaction = new Transaction(table);
      transaction.deleteTable();
      connection.commit(transaction);
    }
    return tables.map((table) => `table ${tableText(table)}`);
  } finally {
    connection.close();
  }
}

function isOurs({ family, name }: Table): boolean {
  return OUR_FAMILIES.includes(family) && name.startsWith(TABLE_PREFIX);
}

function clear(directory: string): string[] {
  const paths = readdirSync(directory)
    .filter((entry) => !KEPT_ENTRIES.includes(entry))
    .map((entry) => join(directory, entry));
  for (const path of paths) rmSync(path, { recursive: true, force: true });
  return paths;
}
