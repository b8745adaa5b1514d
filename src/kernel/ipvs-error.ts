import type { NetlinkError } from '../netlink/socket.ts';
import { IoError, WeftError } from '../util/errors.ts';
import type { IpvsChange, IpvsFailure } from './ipvs-types.ts';

/** The kernel refused one or more changes; `code` and the message are the first one's. */
export class IpvsError extends WeftError {
  readonly failures: readonly IpvsFailure[];

  constructor(failures: readonly [IpvsFailure, ...(readonly IpvsFailure[])]) {
    const [first, ...others] = failures;
    const more = others.length === 0 ? '' : ` (changes refused besides: ${others.length})`;
    super(first.code, `${first.message}${more}`);
    this.failures = failures;
  }
}

/** A refusal in words, with the cure where the errno tells it (net/netfilter/ipvs/ip_vs_ctl.c). */
export function describeFailure(
  change: IpvsChange,
  { code, message }: Pick<NetlinkError, 'code' | 'message'>,
): IpvsFailure {
  const cure = cureOf(change, code);
  return { change, code, message: cure === undefined ? message : `${message}: ${cure}` };
}

/** The kernel has no IPVS. */
export function noIpvs(): IoError {
  return new IoError(
    'this kernel has no IPVS: load it with "modprobe ip_vs", ' +
      'or boot a kernel built with CONFIG_IP_VS',
  );
}

function cureOf(change: IpvsChange, code: string): string | undefined {
  if (code === 'EAFNOSUPPORT') return 'this kernel is built without CONFIG_IP_VS_IPV6';
  // The kernel looks for the scheduler, and tries to load it, only where a server is written.
  if (code !== 'ENOENT' || !('server' in change)) return undefined;
  const { scheduler } = change.server;
  const option = `CONFIG_IP_VS_${scheduler.toUpperCase()}`;
  return (
    `the kernel has no scheduler "${scheduler}": load it with "modprobe ip_vs_${scheduler}", ` +
    `or boot a kernel built with ${option}`
  );
}
