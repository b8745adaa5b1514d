import type { AuditReport } from '../../util/audit.ts';
import type { AuditStatus } from './values.ts';

/** What several audits of one component have found, as one. */
export function auditStatus(reports: readonly AuditReport[]): AuditStatus {
  const compared = reports.flatMap(({ comparedAtMs }) => comparedAtMs ?? []);
  const [last] = reports.flatMap((report) => report.last ?? []).sort((a, b) => b.atMs - a.atMs);
  return {
    differences: reports.reduce((sum, { differences }) => sum + differences, 0),
    ...(compared.length > 0 && compared.length === reports.length
      ? { comparedAt: timeText(Math.min(...compared)) }
      : {}),
    ...(last === undefined
      ? {}
      : { last: { at: timeText(last.atMs), what: last.what, differences: last.differences } }),
  };
}

function timeText(atMs: number): string {
  return new Date(atMs).toISOString();
}
