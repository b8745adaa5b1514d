/**
 * The conntrack sysctls kube-proxy sets at its start (pkg/proxy/conntrack/sysctls.go), with two
 * differences: an administrator's larger table is never made smaller, and a kernel or container
 * that refuses a write costs a warning instead of the agent.
 */
import { availableParallelism } from 'node:os';
import { sysctls } from '../kernel/sysctls.ts';
import { toError } from '../util/errors.ts';
import type { Logger } from '../util/log.ts';
import type { ConntrackSettings } from './config/proxy-settings.ts';

/** One value to write below /proc/sys/net/netfilter. */
export interface ConntrackSysctl {
  readonly name: string;
  readonly value: number;
  /** A larger value that is there already stays. */
  readonly isMinimum: boolean;
}

/** Most entries that the size of the machine alone may ask for. */
const MAX_SCALED_ENTRIES = 1_048_576;

/** Which values the settings ask for on a machine with `cpus` processors. Pure. */
export function planConntrackSysctls(
  settings: ConntrackSettings,
  cpus: number,
): readonly ConntrackSysctl[] {
  const seconds = (ms: number) => Math.floor(ms / 1000);
  const scaled = Math.min(MAX_SCALED_ENTRIES, settings.maxPerCore * cpus);
  const candidates = [
    {
      name: 'nf_conntrack_max',
      value: settings.maxPerCore > 0 ? Math.max(scaled, settings.min) : 0,
      isMinimum: true,
    },
    {
      name: 'nf_conntrack_tcp_timeout_established',
      value: seconds(settings.tcpEstablishedTimeoutMs),
    },
    { name: 'nf_conntrack_tcp_timeout_close_wait', value: seconds(settings.tcpCloseWaitTimeoutMs) },
    { name: 'nf_conntrack_tcp_be_liberal', value: settings.isTcpLiberal ? 1 : 0 },
    { name: 'nf_conntrack_udp_timeout', value: seconds(settings.udpTimeoutMs) },
    { name: 'nf_conntrack_udp_timeout_stream', value: seconds(settings.udpStreamTimeoutMs) },
  ];
  // 0 leaves the kernel's value as it is, for every one of them.
  return candidates
    .filter(({ value }) => value > 0)
    .map((candidate) => ({ isMinimum: false, ...candidate }));
}

/** Writes what the settings ask for and differs; what cannot be written is logged. */
export function applyConntrackSysctls(settings: ConntrackSettings, log: Logger): void {
  for (const { name, value, isMinimum } of planConntrackSysctls(settings, availableParallelism())) {
    const path = `net/netfilter/${name}`;
    try {
      const present = sysctls.read(undefined, path);
      if (present === undefined) throw new Error('this kernel does not have it (yet)');
      if (Number(present) === value || (isMinimum && Number(present) > value)) continue;
      sysctls.write(undefined, path, String(value));
      log.info({ sysctl: path, value }, 'conntrack sysctl set');
    } catch (thrown) {
      log.warn(
        { sysctl: path, value, reason: toError(thrown).message },
        'conntrack sysctl not set',
      );
    }
  }
}
