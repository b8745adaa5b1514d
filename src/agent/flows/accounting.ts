import { rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  FLOW_SYSCTL_RECORD,
  nodeSysctls,
  readSysctlRecord,
  recordSysctls,
  type SysctlAccess,
} from '../sysctl-record.ts';

const EVENTS = 'net/netfilter/nf_conntrack_events';
const ACCOUNTING = 'net/netfilter/nf_conntrack_acct';
const TIMES = 'net/netfilter/nf_conntrack_timestamp';
const WANTED: ReadonlyMap<string, string> = new Map([
  [ACCOUNTING, '1'],
  [TIMES, '1'],
]);

export interface AccountingOptions {
  readonly runDir: string;
  readonly bootId: string;
  readonly access?: SysctlAccess;
}

/**
 * Has the kernel count bytes and note times of connections that begin from now on, until closed: then the
 * sysctls are what they were. Recorded before, so that the next start or `weft cleanup` puts back what
 * a killed process has left. Throws IoError.
 */
export function holdAccounting({ runDir, bootId, access = nodeSysctls }: AccountingOptions): {
  close(): void;
} {
  restoreAccounting({ runDir, bootId, access });
  recordSysctls(runDir, bootId, WANTED, access, FLOW_SYSCTL_RECORD);
  for (const [path, value] of WANTED) {
    if (access.read(path) !== undefined) access.write(path, value);
  }
  return { close: () => restoreAccounting({ runDir, bootId, access }) };
}

/** Puts back what is still as we have set it; somebody else's value stays. */
export function restoreAccounting({
  runDir,
  bootId,
  access = nodeSysctls,
}: AccountingOptions): void {
  for (const { path, before, ours } of readSysctlRecord(runDir, bootId, FLOW_SYSCTL_RECORD)) {
    if (before !== ours && access.read(path) === ours) access.write(path, before);
  }
  rmSync(join(runDir, FLOW_SYSCTL_RECORD), { force: true });
}

/** What the kernel does not tell as its sysctls are now, in words with the cure. */
export function accountingNotices(access: SysctlAccess = nodeSysctls): readonly string[] {
  const events = access.read(EVENTS);
  if (events === undefined) {
    return ['connection tracking is not loaded: there are no connections to tell of yet'];
  }
  return [
    ...(events === '0'
      ? [
          'connections that begin and end are not told: sysctl net.netfilter.nf_conntrack_events is 0',
        ]
      : []),
    ...(events === '2'
      ? [
          'connections from before somebody looked end untold: sysctl net.netfilter.nf_conntrack_events=1 has the kernel always ready to tell',
        ]
      : []),
    ...(access.read(ACCOUNTING) === '0'
      ? ['bytes are not counted: sysctl net.netfilter.nf_conntrack_acct is 0']
      : []),
  ];
}
