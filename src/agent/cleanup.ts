import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { wire } from '../netlink/wire.ts';
import type { Table } from '../nftables/model.ts';
import { tableText } from '../nftables/text.ts';
import { supportedFamilies } from './proxy/modes/open.ts';
import { listTables, removeTable } from './proxy/own-tables.ts';
import { removeRules } from './proxy/remove-rules.ts';
import { type RulesKind, readRulesRecord } from './proxy/rules-record.ts';
import { lockRunDir } from './run-dir.ts';

/** Every table of weft's begins so; nobody else's does. */
const TABLE_PREFIX = 'weft-';
const OUR_FAMILIES: readonly string[] = ['ip', 'ip6', 'inet', 'bridge'];

/** Belong to pods, which live on: the next agent repairs and sweeps by them. */
const KEPT_ENTRIES: readonly string[] = ['attachments', 'adding', 'hostports', 'released'];

/** Begins the names of the files in the state directory, finished ones and those of a killed writer. */
const STATE_FILE_PREFIX = 'last-known-objects.';

/**
 * Removes weft's tables, rules in iptables that are on record as ours, and its own files in both
 * directories, and names each. Links, address reservations and records of pods stay: they are the
 * runtime's to remove, with a DEL. Throws BusyError before anything is touched while an agent runs,
 * because it would put everything back.
 */
export async function cleanup(runDir: string, stateDir: string): Promise<readonly string[]> {
  if (!existsSync(runDir)) return [...removeTables(), ...forget(stateDir)];
  const lock = lockRunDir(runDir, process.pid, wire.flock);
  try {
    const rules = await removeIptablesRules(runDir);
    return [...rules, ...removeTables(), ...forget(stateDir), ...clear(runDir)];
  } finally {
    lock.release();
  }
}

function removeTables(): string[] {
  return listTables()
    .filter(isOurs)
    .filter(removeTable)
    .map((table) => `table ${tableText(table)}`);
}

async function removeIptablesRules(runDir: string): Promise<readonly string[]> {
  const removed: string[] = [];
  for (const kind of readRulesRecord(runDir)) {
    if (kind === 'nftables') continue;
    for (const family of supportedFamilies()) {
      if (await removeRules(kind, family)) removed.push(`${nounOf(kind)}, IPv${family}`);
    }
  }
  return removed;
}

function nounOf(kind: RulesKind): string {
  if (kind === 'userspace') return 'addresses of Services on lo';
  return kind.startsWith('ipvs')
    ? 'virtual servers, sets and chains of Services'
    : `chains of Services in ${kind}`;
}

function isOurs({ family, name }: Table): boolean {
  return OUR_FAMILIES.includes(family) && name.startsWith(TABLE_PREFIX);
}

/** A start without the API server would bring the Services back. */
function forget(stateDir: string): string[] {
  if (!existsSync(stateDir)) return [];
  return remove(stateDir, (entry) => entry.startsWith(STATE_FILE_PREFIX));
}

function clear(runDir: string): string[] {
  return remove(runDir, (entry) => !KEPT_ENTRIES.includes(entry));
}

function remove(directory: string, isRemoved: (entry: string) => boolean): string[] {
  const paths = readdirSync(directory)
    .filter(isRemoved)
    .map((entry) => join(directory, entry));
  for (const path of paths) rmSync(path, { recursive: true, force: true });
  return paths;
}
