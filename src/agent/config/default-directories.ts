/** Directories unless configured otherwise; apart from the tables of settings, which take longer to load. */
export const DEFAULT_STATE_DIR = '/var/lib/weft';

export const DEFAULT_CNI = {
  ipamDirectory: '/var/lib/cni/networks',
  confDirectory: '/etc/cni/net.d',
} as const;
