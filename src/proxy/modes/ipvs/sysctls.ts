/** The sysctls that IPVS mode needs, as kube-proxy sets them (pkg/proxy/ipvs/proxier.go). */

export interface IpvsSysctl {
  /** Below /proc/sys. */
  readonly path: string;
  readonly value: string;
}

/** `release` is the kernel's, as `uname -r` has it: `6.1.0-18-amd64`. */
export function ipvsSysctls(options: {
  readonly release: string;
  readonly isStrictARP: boolean;
}): readonly IpvsSysctl[] {
  const { release, isStrictARP } = options;
  return [
    // Masquerading is netfilter's: without connection tracking it would not see these packets.
    { path: 'net/ipv4/vs/conntrack', value: '1' },
    // A client that uses its port again is held up for a second (kernel 4.1) until 5.9 mended it.
    ...(isBetween(release, [4, 1], [5, 9])
      ? [{ path: 'net/ipv4/vs/conn_reuse_mode', value: '0' }]
      : []),
    // Connections to a destination that is gone end at once, and so do ties of clients to it.
    { path: 'net/ipv4/vs/expire_nodest_conn', value: '1' },
    { path: 'net/ipv4/vs/expire_quiescent_template', value: '1' },
    { path: 'net/ipv4/ip_forward', value: '1' },
    // The addresses of Services are on a link of every node: only their owner answers for them.
    ...(isStrictARP
      ? [
          { path: 'net/ipv4/conf/all/arp_ignore', value: '1' },
          { path: 'net/ipv4/conf/all/arp_announce', value: '2' },
        ]
      : []),
  ];
}

type Version = readonly [major: number, minor: number];

/** From `first` on and before `end`. */
function isBetween(release: string, first: Version, end: Version): boolean {
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  const number = ([a, b]: Version) => a * 1_000 + b;
  const version = number([major, minor]);
  return version >= number(first) && version < number(end);
}
