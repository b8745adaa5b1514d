import type { RulesKind } from '../../proxy/modes/names.ts';
import { DEFAULT_CNI } from '../config/default-directories.ts';
import { readRulesRecord } from '../proxy/rules-record.ts';
import { type CniStatus, readCniStatus } from '../status/cni-status.ts';

/** What an agent that is not running has left on record. */
export interface DiskStatus {
  readonly runDir: string;
  /** Rules for Services that agents have written and not removed; they go on working. */
  readonly rules: readonly RulesKind[];
  readonly cni: CniStatus;
}

/**
 * Reads the records in a run directory, and the addresses where they are unless configured
 * otherwise. Throws IoError.
 */
export function readDiskStatus(runDir: string): DiskStatus {
  return {
    runDir,
    rules: [...readRulesRecord(runDir)],
    cni: readCniStatus({ runDir, ...DEFAULT_CNI }),
  };
}
