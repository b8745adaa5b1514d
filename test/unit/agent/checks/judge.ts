import { type Check, findingOf } from '../../../../src/agent/checks/check.ts';
import type { Finding } from '../../../../src/agent/status/finding.ts';

export const UNREADABLE = { unread: 'EACCES: permission denied' };

/** What one check makes of facts, as `level: seen | cure`; undefined where it does not concern the node. */
export function judge<F>(checks: readonly Check<F>[], id: string, facts: F): string | undefined {
  const check = checks.find((each) => each.id === id);
  if (check === undefined) throw new Error(`there is no check ${id}`);
  const finding: Finding | undefined = findingOf(check, facts);
  if (finding === undefined) return undefined;
  const { level, seen, cure } = finding;
  return `${level}: ${seen}${cure === '' ? '' : ` | ${cure}`}`;
}

/** What is told of a fact that could not be read. */
export const UNKNOWN = `unknown: not known: ${UNREADABLE.unread}`;
