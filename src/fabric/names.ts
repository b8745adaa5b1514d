/** What is the fabric's in the kernel is known by these. */
import { localMac, type Mac } from '../net/mac.ts';
import { sha256 } from '../util/sha256.ts';

/** rtnetlink's protocol of our routes: `proto 201`; /etc/iproute2/rt_protos leaves it free. */
export const FABRIC_PROTOCOL = 201;
/** With a metric of their own our routes never replace somebody else's to the same place. */
export const FABRIC_METRIC = 201;
export const TUNNEL_NAME = 'weft-vxlan';
/** Bytes that VXLAN puts around a frame: outer IP, UDP, VXLAN and inner Ethernet headers (RFC 7348). */
export const TUNNEL_OVERHEAD = { 4: 50, 6: 70 } as const;
/** Below this a link carries no IPv6 (RFC 8200 section 5). */
export const MIN_IPV6_MTU = 1280;

/** Hardware address of a Node's tunnel: all Nodes know it without being told, also after a reboot. */
export function tunnelMac(nodeName: string): Mac {
  return localMac(sha256(`weft tunnel of node ${nodeName}`));
}
