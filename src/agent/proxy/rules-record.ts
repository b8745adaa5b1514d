import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RULES_KINDS, type RulesKind } from '../../proxy/modes/names.ts';
import { fileFailure } from '../../util/errno.ts';
import { IoError } from '../../util/errors.ts';
import { ifThere, replaceFile } from '../../util/files.ts';

/**
 * The kinds of rules that agents of this node have written and not removed. It is gone after a
 * reboot, as they are. Without it nobody can tell rules of ours from kube-proxy's: the chains have
 * the same names. Throws IoError.
 */
export function readRulesRecord(runDir: string): ReadonlySet<RulesKind> {
  const path = recordPath(runDir);
  try {
    const lines = ifThere(() => readFileSync(path, 'utf8'))?.split('\n') ?? [];
    return new Set(RULES_KINDS.filter((kind) => lines.includes(kind)));
  } catch (cause) {
    throw new IoError(`read ${path}: ${fileFailure(cause)}`, { cause });
  }
}

/** Replaces the record at one stroke: a reader sees the old one or the new one. Throws IoError. */
export function writeRulesRecord(runDir: string, kinds: Iterable<RulesKind>): void {
  const path = recordPath(runDir);
  const text = Array.from(kinds, (kind) => `${kind}\n`).join('');
  try {
    replaceFile(path, text);
  } catch (cause) {
    throw new IoError(`write ${path}: ${fileFailure(cause)}`, { cause });
  }
}

function recordPath(runDir: string): string {
  return join(runDir, 'proxy-mode');
}
