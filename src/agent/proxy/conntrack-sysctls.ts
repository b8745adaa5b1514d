/**
 * The conntrack sysctls kube-proxy sets at its start (pkg/proxy/conntrack/sysctls.go), with two
 * differences: an administrator's larger table is never made smaller, and a kernel or container
 * that refuses a write costs a warning instead of the agent.
 */

import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { sysctls } from '../../kernel/sysctls.ts';
import { toError } from '../../util/errors.ts';
import { readIfThere } from '../../util/files.ts';
import type { Logger } from '../../util/log.ts';
import type { ConntrackSettings } from '../config/proxy-settings.ts';

/** One value to write; `name` is below /proc/sys, or an absolute path. */
export interface ConntrackSysctl {
  readonly name: string;
  readonly value: number;
  /** A larger value that is there already stays. */
  readonly isMinimum: boolean;
}

/** Reads and writes what a ConntrackSysctl names. */
export interface SysctlFiles {
  /** Undefined when the kernel does not have it. */
  read(name: string): string | undefined;
  write(name: string, value: string): void;
}

/** Most entries that the size of the machine alone may ask for. */
const MAX_SCALED_ENTRIES = 1_048_576;
const ENTRIES_PER_BUCKET = 4;
const MAX_ENTRIES = 'net/netfilter/nf_conntrack_max';
const HASH_SIZE = '/sys/module/nf_conntrack/parameters/hashsize';

/** Which values the settings ask for on a machine with `cpuCount` processors. Pure. */
export function planConntrackSysctls(
  settings: ConntrackSettings,
  cpuCount: number,
): readonly ConntrackSysctl[] {
  const seconds = (ms: number) => Math.floor(ms / 1000);
  const scaled = Math.min(MAX_SCALED_ENTRIES, settings.maxPerCore * cpuCount);
  const max = settings.maxPerCore > 0 ? Math.max(scaled, settings.min) : 0;
  const values: readonly (readonly [name: string, value: number, isMinimum?: boolean])[] = [
    [MAX_ENTRIES, max, true],
    [HASH_SIZE, Math.floor(max / ENTRIES_PER_BUCKET), true],
    [
      'net/netfilter/nf_conntrack_tcp_timeout_established',
      seconds(settings.tcpEstablishedTimeoutMs),
    ],
    ['net/netfilter/nf_conntrack_tcp_timeout_close_wait', seconds(settings.tcpCloseWaitTimeoutMs)],
    ['net/netfilter/nf_conntrack_tcp_be_liberal', settings.isTcpLiberal ? 1 : 0],
    ['net/netfilter/nf_conntrack_udp_timeout', seconds(settings.udpTimeoutMs)],
    ['net/netfilter/nf_conntrack_udp_timeout_stream', seconds(settings.udpStreamTimeoutMs)],
  ];
  // 0 leaves the kernel's value as it is, for every one of them.
  return values
    .filter(([, value]) => value > 0)
    .map(([name, value, isMinimum = false]) => ({ name, value, isMinimum }));
}

/**
 * Writes what the settings ask for and differs; what cannot be written is logged. Before the kernel
 * has loaded connection tracking there is nothing to write to: call it again then.
 */
export function applyConntrackSysctls(
  settings: ConntrackSettings,
  log: Logger,
  files: SysctlFiles = kernelFiles,
): void {
  let isSizeRefused = false;
  for (const sysctl of planConntrackSysctls(settings, cpus().length)) {
    const { name, value } = sysctl;
    // More buckets are of no use to a table that did not grow.
    if (name === HASH_SIZE && isSizeRefused) continue;
    try {
      const result = applyOne(sysctl, files);
      if (result === 'missing') log.info({ sysctl: name }, 'conntrack sysctl not there yet');
      if (result === 'set') log.info({ sysctl: name, value }, 'conntrack sysctl set');
    } catch (thrown) {
      isSizeRefused ||= name === MAX_ENTRIES;
      const reason = toError(thrown).message;
      log.warn({ sysctl: name, value, reason }, 'conntrack sysctl not set');
    }
  }
}

/** Whether the kernel has loaded connection tracking. */
export function isConntrackLoaded(): boolean {
  return sysctls.read(undefined, MAX_ENTRIES) !== undefined;
}

function applyOne(
  { name, value, isMinimum }: ConntrackSysctl,
  files: SysctlFiles,
): 'set' | 'right' | 'missing' {
  const present = files.read(name);
  if (present === undefined) return 'missing';
  if (Number(present) === value || (isMinimum && Number(present) > value)) return 'right';
  files.write(name, String(value));
  return 'set';
}

const kernelFiles: SysctlFiles = {
  read: (name) => (name.startsWith('/') ? readIfThere(name) : sysctls.read(undefined, name)),
  write: (name, value) => {
    if (name.startsWith('/')) writeFileSync(name, value);
    else sysctls.write(undefined, name, value);
  },
};
