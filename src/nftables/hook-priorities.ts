/** Where a base chain stands among those of its hook (uapi/linux/netfilter_ipv4.h, netfilter_bridge.h). */
export const HOOK_PRIORITY = {
  /** NF_IP_PRI_RAW: before connection tracking. */
  raw: -300,
  /** NF_IP_PRI_NAT_DST */
  destinationNat: -100,
  /** NF_IP_PRI_FILTER */
  filter: 0,
  /** NF_IP_PRI_NAT_SRC */
  sourceNat: 100,
  /** Behind those who choose a source by the Service that a connection went to. */
  afterSourceNat: 105,
  /** NF_BR_PRI_NAT_DST_BRIDGED: before anything else in a bridge looks at the frame. */
  bridgedDestinationNat: -300,
} as const;
