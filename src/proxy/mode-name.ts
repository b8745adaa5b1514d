/** The ways to keep Services in the kernel of a node, the first choice first. */
export const MODES = ['nftables', 'iptables', 'ipvs', 'userspace'] as const;
export type ModeName = (typeof MODES)[number];
